// Jitsi Meet by its IFrame API: the script and the frame come from the meeting server, the ticket from ours.

const SCRIPT_WITHIN = 15_000; // ms
const JOIN_WITHIN = 25_000;
const LOOK_EVERY = 3_000; // ms between two looks at the whole list: an event can be missed

/** What both sides have: no way to invite, rename, poll, record, or to be asked anything before the door. */
const BARE = {
  prejoinConfig: { enabled: false },
  p2p: { enabled: false },
  disable1On1Mode: true,
  disableInviteFunctions: true,
  disableProfile: true,
  readOnlyName: true,
  disableSelfView: true,
  disableJoinLeaveSounds: true,
  disableReactions: true,
  disablePolls: true,
  hideConferenceSubject: true,
  hideConferenceTimer: true,
  breakoutRooms: { hideAddRoomButton: true, hideAutoAssignButton: true, hideJoinRoomButton: true },
  fileSharing: { enabled: false },
  notifications: [],
};

/**
 * A candidate sends, and receives only what is allowed: no sound at all without `audio`, nobody's picture without `video`, and
 * of everybody's picture at most one. Whose that is, is up to the pin (`#watchOver`): the bridge puts whom a page has selected
 * before all others and forwards the first N, so one picture and the proctor pinned is the proctor's picture and no other.
 */
function configOfCandidate({ audio, video }) {
  return {
    ...BARE,
    startWithAudioMuted: false,
    startWithVideoMuted: false,
    startSilent: !audio,
    channelLastN: video ? 1 : 0,
    resolution: 360,
    disableTileView: true,
    disableTileEnlargement: true,
    filmstrip: { disabled: true },
    remoteVideoMenu: { disabled: true, disableKick: true, disableGrantModerator: true, disablePrivateChat: true },
    toolbarButtons: [], // chat too is on our own page: a meeting's chat would show everybody what each writes
  };
}

const CONFIG_OF_PROCTOR = {
  ...BARE,
  startWithAudioMuted: true,
  startWithVideoMuted: true,
  channelLastN: -1,
  tileView: { numberOfVisibleTiles: 25 },
  maxFullResolutionParticipants: 1,
  remoteVideoMenu: { disableGrantModerator: true },
  toolbarButtons: ["chat", "fullscreen"], // microphone and camera are in our own bar, which says to whom they go
};

const scripts = new Map();

/** Loads a meeting server's script once; one that failed is asked for again. */
function load(address) {
  if (!scripts.has(address)) {
    const loading = new Promise((done, failed) => {
      const script = document.createElement("script");
      const timer = setTimeout(() => failed(new Error("timeout")), SCRIPT_WITHIN);
      script.src = address;
      script.async = true;
      script.referrerPolicy = "no-referrer";
      script.onload = () => {
        clearTimeout(timer);
        if (window.JitsiMeetExternalAPI) done();
        else failed(new Error("not the script"));
      };
      script.onerror = () => {
        clearTimeout(timer);
        failed(new Error("not loaded"));
      };
      document.head.append(script);
    });
    scripts.set(address, loading);
    loading.catch(() => scripts.delete(address));
  }
  return scripts.get(address);
}

/** From the server's own name of an error to ours; null for one that ends nothing. */
export function stateOfError({ name = "", isFatal = true }) {
  if (/notAllowed|authenticationRequired|connection\.passwordRequired|not-authorized/i.test(name)) return "refused";
  if (/membersOnly|conference\.passwordRequired/i.test(name)) return "locked";
  if (/max_users|maxUsers/i.test(name)) return "full";
  return isFatal ? "unreachable" : null;
}

export class JitsiMeeting {
  state = "joining";
  participants = new Map();
  isModerator = false;

  #ticket;
  #parent;
  #wishes;
  #heard;
  #api = null;
  #own = null;
  #timers = [];
  #pinned = null;
  #volumes = new Map();

  constructor(ticket, parent, wishes, heard) {
    this.#ticket = ticket;
    this.#parent = parent;
    this.#wishes = wishes;
    this.#heard = heard;
  }

  async start() {
    try {
      await load(this.#ticket.script);
    } catch (error) {
      this.#end("script_failed", error.message);
      return;
    }
    if (this.isOver) return;
    try {
      this.#open();
    } catch (error) {
      this.#end("unreachable", String(error.message ?? error));
    }
  }

  get isOver() {
    return this.state !== "joining" && this.state !== "joined";
  }

  #open() {
    const { role, language, title } = this.#wishes;
    const ticket = this.#ticket;
    const api = new window.JitsiMeetExternalAPI(ticket.domain, {
      roomName: ticket.room,
      parentNode: this.#parent,
      width: "100%",
      height: "100%",
      jwt: ticket.token,
      lang: language,
      noSSL: ticket.plain,
      userInfo: { displayName: ticket.name },
      configOverwrite: role === "candidate" ? configOfCandidate(this.#wishes) : CONFIG_OF_PROCTOR,
      interfaceConfigOverwrite: { TILE_VIEW_MAX_COLUMNS: 5, MOBILE_APP_PROMO: false },
    });
    this.#api = api;
    const frame = api.getIFrame?.() ?? this.#parent.querySelector("iframe");
    if (frame) frame.title = title;
    this.#timers.push(setTimeout(() => this.state === "joining" && this.#end("unreachable", "no answer"), JOIN_WITHIN));
    for (const [event, handle] of Object.entries(this.#handlers())) {
      api.addListener(event, (detail) => !this.isOver && handle(detail ?? {}));
    }
  }

  #handlers() {
    return {
      videoConferenceJoined: ({ id }) => this.#joined(id),
      videoConferenceLeft: () => this.#end("lost", "left"),
      readyToClose: () => this.#end("lost", "closed"),
      suspendDetected: () => this.#end("lost", "asleep"),
      peerConnectionFailure: () => this.#end("lost", "media"),
      passwordRequired: () => this.#end("locked", ""),
      errorOccurred: (error) => {
        const failed = error.name ? error : (error.error ?? {}); // releases differ in how they wrap it
        const state = stateOfError(failed);
        if (state) this.#end(this.state === "joined" && state === "unreachable" ? "lost" : state, failed.name ?? "");
      },
      participantKickedOut: ({ kicked }) => {
        if (kicked?.local || kicked?.id === this.#own) this.#end("kicked", "");
      },
      participantJoined: (one) => this.#found(one),
      participantLeft: ({ id }) => this.participants.delete(id) && this.#changed(),
      participantRoleChanged: ({ id, role }) => this.#role(id, role),
      participantMuted: ({ participantId, isMuted, mediaType }) => {
        const one = this.participants.get(participantId);
        if (!one) return;
        if (mediaType === "video") {
          one.video = !isMuted;
          one.isShowing = !isMuted;
        }
        if (mediaType === "audio") one.audio = !isMuted;
        this.#changed();
      },
      audioMuteStatusChanged: ({ muted }) => this.#heard.own?.("audio", !muted),
      videoMuteStatusChanged: ({ muted }) => this.#heard.own?.("video", !muted),
      micError: () => this.#heard.own?.("audio", false, true),
      cameraError: () => this.#heard.own?.("video", false, true),
      displayNameChange: ({ id, displayname, displayName }) => {
        const one = this.participants.get(id);
        if (one) one.name = displayName ?? displayname ?? one.name;
        this.#changed();
      },
      incomingMessage: ({ from, message, privateMessage }) =>
        this.#heard.chat?.({ from: this.participants.get(from) ?? null, text: message, isPrivate: Boolean(privateMessage) }),
    };
  }

  #joined(id) {
    this.#own = id;
    this.participants.delete(id);
    this.#become("joined", "");
    this.#changed();
    this.#timers.push(setInterval(() => this.#look(), LOOK_EVERY));
    this.#look();
  }

  #found({ id, displayName, formattedDisplayName, userContext, role }) {
    if (!id || id === this.#own) return;
    const known = this.participants.get(id) ?? { id, identity: null, name: "", video: true, audio: true, moderator: false };
    known.identity = userContext?.id ?? known.identity;
    known.name = displayName ?? formattedDisplayName ?? known.name;
    if (role) known.moderator = role === "moderator";
    this.participants.set(id, known);
    this.#changed();
  }

  #role(id, role) {
    const isModerator = role === "moderator";
    if (id === this.#own) {
      const isNew = isModerator && !this.isModerator;
      this.isModerator = isModerator;
      if (isNew && this.#wishes.role === "proctor") this.tiles();
    }
    const one = this.participants.get(id);
    if (one) one.moderator = isModerator;
    this.#changed();
  }

  /** The whole list, as the meeting has it: who was there before us, and what an event that got lost would have said. */
  async #look() {
    let rooms;
    try {
      rooms = (await this.#api?.getRoomsInfo?.())?.rooms ?? [];
    } catch {
      return;
    }
    if (this.isOver) return;
    const here = rooms.find((room) => room.isMainRoom) ?? rooms[0];
    if (!here?.participants) return;
    const present = new Set();
    for (const one of here.participants) {
      present.add(one.id);
      if (one.id === this.#own) this.#role(one.id, one.role);
      else this.#found(one);
    }
    let isGone = false;
    for (const id of this.participants.keys()) {
      if (!present.has(id)) isGone = this.participants.delete(id) || isGone;
    }
    if (isGone) this.#changed();
  }

  // --- what a moderator does; asked for earlier it would be ignored (jitsi.md §7) ---

  #command(name, ...details) {
    if (this.state !== "joined") return false;
    this.#api.executeCommand(name, ...details);
    return true;
  }

  /** Moderation first: a client that unmutes itself would undo a mute alone (jitsi.md §9). */
  muteAll() {
    this.#command("toggleModeration", true, "audio");
    return this.#command("muteEveryone", "audio");
  }

  mute(id) {
    return this.#command("muteRemoteParticipant", id, "audio");
  }

  remove(id) {
    return this.#command("kickParticipant", id);
  }

  pin(id) {
    this.#command("setTileView", false);
    return this.#command("pinParticipant", id);
  }

  tiles() {
    return this.#command("setTileView", true);
  }

  /** Our own microphone (`audio`) or camera (`video`). There is no command but to toggle, so the state is asked first. */
  async send(media, isOn) {
    if (this.state !== "joined") return false;
    const isMuted = await (media === "audio" ? this.#api.isAudioMuted() : this.#api.isVideoMuted());
    if (isMuted !== isOn) return true;
    return this.#command(media === "audio" ? "toggleAudio" : "toggleVideo");
  }

  say(text, id = "") {
    return this.#command("sendChatMessage", text, id);
  }

  leave() {
    if (!this.isOver) this.state = "left";
    this.#dispose();
  }

  // --- the end ---

  #end(state, detail) {
    if (this.isOver) return;
    this.#dispose();
    this.#become(state, detail);
  }

  #dispose() {
    for (const timer of this.#timers) {
      clearTimeout(timer);
      clearInterval(timer);
    }
    this.#timers = [];
    this.participants.clear();
    this.#volumes.clear();
    if (this.#pinned !== null) this.#heard.stage?.(false);
    this.#pinned = null;
    this.isModerator = false;
    const api = this.#api;
    this.#api = null;
    try {
      api?.dispose();
    } catch {
      // the frame is already gone
    }
    this.#parent.replaceChildren();
  }

  #become(state, detail) {
    this.state = state;
    this.#heard.state?.(state, detail);
  }

  #changed() {
    if (this.#wishes.role === "candidate") this.#watchOver();
    this.#heard.change?.();
  }

  /**
   * At a candidate: nobody is heard but proctors, and only a proctor is on stage. Who is one, the meeting's server says by the
   * role, never the client by a name.
   */
  #watchOver() {
    if (this.state !== "joined") return;
    for (const one of this.participants.values()) this.#setVolume(one.id, one.moderator ? 1 : 0);
    if (!this.#wishes.video) return;
    const proctors = [...this.participants.values()].filter((one) => one.moderator);
    const chosen = proctors.find((one) => one.isShowing) ?? proctors.find((one) => one.id === this.#pinned) ?? proctors[0] ?? null;
    const id = chosen?.id ?? null;
    if (id === this.#pinned) return;
    this.#pinned = id;
    this.#command("setTileView", false);
    this.#command("pinParticipant", id);
    this.#heard.stage?.(id !== null);
  }

  #setVolume(id, volume) {
    if (this.#volumes.get(id) === volume) return;
    if (this.#command("setParticipantVolume", id, volume)) this.#volumes.set(id, volume);
  }
}
