// Inside the frame: Zoom's Meeting SDK for Web, client view. Told what to do by the page around it, and by nobody else.

const SCRIPT_WITHIN = 30_000; // ms
const LOOK_EVERY = 2_000;
const VENDOR = ["react", "react-dom", "redux", "redux-thunk", "react-redux", "lodash"];
const KICKED = 1; // reasonCode of onMeetingStatus 3: removed by the host
const MEDIA = ["audio", "video"];
const data = JSON.parse(document.querySelector("#frame-data").textContent);

let meeting = null;

const tell = (message) => parent.postMessage(message, location.origin);

function load(address) {
  return new Promise((done, failed) => {
    const script = document.createElement("script");
    const timer = setTimeout(() => failed(new Error("timeout")), SCRIPT_WITHIN);
    script.src = address;
    script.async = false;
    script.referrerPolicy = "no-referrer";
    script.onload = () => (clearTimeout(timer), done());
    script.onerror = () => (clearTimeout(timer), failed(new Error("not loaded")));
    document.head.append(script);
  });
}

/** The SDK's parts in their order (zoom.md §7.1), from the one address the administrator allowed. */
async function loadSdk() {
  if (window.ZoomMtg) return;
  await Promise.all(VENDOR.map((name) => load(`${data.base}/${data.version}/lib/vendor/${name}.min.js`)));
  await load(data.script);
  if (!window.ZoomMtg) throw new Error("not the script");
}

class Stay {
  isOver = false;
  #own = { audio: false, video: false };
  #isShown = null;
  #isSilent = null;
  #speaks = false; // whether we are heard by proctors alone, who may mute us all the same
  #wantsVoice = false;
  #sound = null; // by what our own sound goes: "computer", or "" before it is joined
  #timer = 0;
  #ticket;
  #wishes;

  constructor(ticket, wishes) {
    this.#ticket = ticket;
    this.#wishes = wishes;
  }

  async enter() {
    this.#showPictures();
    try {
      await loadSdk();
    } catch (error) {
      return this.#fail({ state: "script_failed", detail: error.message });
    }
    if (this.isOver) return;
    try {
      await this.#init();
      if (this.isOver) return;
      await this.#join();
    } catch (error) {
      return this.#fail({ code: Number(error?.errorCode) || 0, detail: String(error?.errorCode ?? error?.message ?? "") });
    }
  }

  #init() {
    const sdk = window.ZoomMtg;
    sdk.setZoomJSLib(`${data.base}/${data.version}/lib`, "/av");
    sdk.preLoadWasm();
    sdk.prepareWebSDK();
    sdk.i18n.load(this.#wishes.language === "de" ? "de-DE" : "en-US");
    sdk.inMeetingServiceListener("onUserJoin", () => this.#look());
    sdk.inMeetingServiceListener("onUserLeave", () => this.#look());
    sdk.inMeetingServiceListener("onUserUpdate", () => this.#look());
    sdk.inMeetingServiceListener("onMeetingStatus", (status) => this.#status(status));
    return new Promise((success, error) => {
      sdk.init({
        leaveUrl: `${location.origin}${location.pathname}`,
        defaultView: "gallery",
        disableCORP: !window.crossOriginIsolated,
        disableInvite: true,
        disableRecord: true,
        disableCallOut: true,
        disableReport: true,
        disablePreview: true,
        isSupportChat: this.#wishes.role === "proctor", // what clients write that joined by themselves; our page has its own
        isSupportPolling: false,
        isSupportBreakout: false,
        screenShare: false,
        sharingMode: "fit",
        videoHeader: false,
        isLockBottom: false,
        leaveOnPageUnload: true,
        patchJsMedia: true,
        success,
        error,
      });
    });
  }

  #join() {
    const ticket = this.#ticket;
    return new Promise((success, error) => {
      window.ZoomMtg.join({
        signature: ticket.token,
        meetingNumber: ticket.number,
        userName: ticket.name,
        passWord: ticket.passcode,
        customerKey: ticket.customer_key,
        ...(ticket.host_key ? { zak: ticket.host_key } : {}),
        success,
        error,
      });
    }).then(() => this.#wait());
  }

  /** "Joined" is what Zoom calls connected: who waits for a host, or in a waiting room, is not in. */
  #wait() {
    setTimeout(() => {
      if (!this.isOver && !this.isIn) this.#fail({ code: 3008, detail: "waiting" });
    }, 20_000);
    this.#look();
  }

  #status({ meetingStatus, reasonCode }) {
    if (this.isOver) return;
    if (meetingStatus === 2) this.#in();
    if (meetingStatus === 3) {
      this.#fail(this.isIn ? { state: reasonCode === KICKED ? "kicked" : "lost", detail: String(reasonCode ?? "") } : { code: 1 });
    }
  }

  #in() {
    if (this.isIn) return;
    this.isIn = true;
    window.ZoomMtg.getCurrentUser({
      success: ({ result }) => {
        this.me = result?.currentUser?.userId ?? null;
        tell({ t: "joined", host: result?.currentUser?.isHost === true, isolated: window.crossOriginIsolated === true });
        this.#look();
      },
    });
    this.#hear();
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY);
  }

  // --- what a candidate receives ---

  /** Another broadcast, in the same meeting: nobody has to leave it for that. */
  receive({ audio, video, alone }) {
    this.#wishes = { ...this.#wishes, audio, video, alone };
    this.#showPictures();
    if (!this.isIn || this.isOver) return;
    this.#hear();
    this.#look();
  }

  /** Candidates receive no sound but what a broadcast lets through; the call is there from SDK 2.18 on. */
  #hear() {
    const stop = !this.#wishes.audio;
    if (this.#wishes.role !== "candidate" || this.#isSilent === stop) return;
    this.#isSilent = stop;
    try {
      window.ZoomMtg.stopIncomingAudio?.({ stop });
    } catch {
      // Without sound there is nothing to stop.
    }
  }

  /**
   * Zoom plays everybody or nobody, so while candidates hear a proctor their pages keep them from hearing each other: each is
   * muted, but who is alone with the proctors, who is unmuted once: a host who mutes them then is not undone. Who is alone is
   * said by the server: a second proctor in the meeting is no moderator there.
   */
  #keepApart(me) {
    const isHeard = this.#wishes.audio && me.audio !== "" && typeof me.muted === "boolean";
    const speaks = isHeard && this.#wishes.alone;
    const begins = speaks && !this.#speaks;
    this.#speaks = speaks;
    if (begins && me.muted) window.ZoomMtg.mute({ userId: this.me, mute: false });
    if (isHeard && !speaks && me.muted === false) window.ZoomMtg.mute({ userId: this.me, mute: true });
  }

  /** Joined sound is new sound: what was stopped before it counts no more. */
  #lookAtSound({ audio }) {
    if (audio === this.#sound) return;
    this.#sound = audio;
    this.#isSilent = null;
    this.#hear();
  }

  /** Whatever Zoom would show, with or without focus mode: others are for candidates to see only while a proctor may be seen. */
  #showPictures() {
    const isHidden = this.#wishes.role === "candidate" && !this.#wishes.video;
    document.documentElement.dataset.pictures = isHidden ? "hidden" : "shown";
  }

  /** Zoom's frame is seen while a proctor may be seen in it, and while it wants "Join Audio" or "Start Video" pressed. */
  #show(me) {
    const isShown = this.#wishes.video || me.bVideoOn !== true || !me.audio;
    if (isShown === this.#isShown) return;
    this.#isShown = isShown;
    tell({ t: "stage", shown: isShown });
  }

  // --- what goes out from here ---

  /** The microphone obeys, once sound is joined; the camera has no call, so whoever wants it on presses the meeting's own button. */
  send(media, isOn) {
    if (!this.isIn || this.isOver || media !== "audio") return;
    this.#wantsVoice = isOn;
    if (isOn) this.#quieten();
    window.ZoomMtg.mute({ userId: this.me, mute: !isOn });
  }

  /** Candidates are about to hear the meeting: of several, nobody else is to be heard. */
  #quieten() {
    const candidates = this.others?.filter((one) => !one.moderator) ?? [];
    if (!this.#wishes.alone && candidates.length > 1) window.ZoomMtg.muteAll({ muteAll: true });
  }

  #tellOwn(me) {
    if (this.#wantsVoice && me.muted && me.audio && me.audio !== this.#sound) this.send("audio", true); // joined only now
    this.#sound = me.audio;
    const own = { audio: me.muted === false, video: me.bVideoOn === true };
    for (const media of MEDIA) if (own[media] !== this.#own[media]) tell({ t: "own", media, on: own[media] });
    this.#own = own;
  }

  // --- who is there ---

  /** The whole list, as the meeting has it: events can be missed. */
  #look() {
    if (this.isOver || !this.isIn) return;
    window.ZoomMtg.getAttendeeslist({
      success: ({ result }) => {
        const everybody = result?.attendeesList ?? [];
        const me = everybody.find((one) => one.userId === this.me);
        const people = everybody
          .filter((one) => one !== me)
          .map((one) => ({
            id: one.userId,
            identity: one.customerKey || null,
            name: one.userName ?? "",
            video: one.bVideoOn !== false,
            audio: one.muted === false,
            moderator: one.isHost === true || one.isCoHost === true,
          }));
        this.others = people;
        if (me && this.#wishes.role === "candidate") {
          this.#lookAtSound(me);
          this.#keepApart(me);
          this.#show(me);
        } else if (me) this.#tellOwn(me);
        tell({ t: "people", people });
      },
    });
  }

  do(deed, id) {
    const sdk = window.ZoomMtg;
    if (!this.isIn || this.isOver) return;
    if (deed === "muteAll") sdk.muteAll({ muteAll: true });
    if (deed === "mute") sdk.mute({ userId: id, mute: true });
    if (deed === "remove") sdk.expel({ userId: id });
  }

  leave() {
    if (this.isOver) return;
    this.isOver = true;
    clearInterval(this.#timer);
    try {
      window.ZoomMtg?.leaveMeeting({});
    } catch {
      // It was never in.
    }
  }

  #fail(why) {
    if (this.isOver) return;
    this.leave();
    tell({ t: "failed", ...why });
  }
}

addEventListener("message", ({ source, origin, data: said }) => {
  if (origin !== location.origin || source !== parent || parent === window) return;
  if (said?.t === "enter" && !meeting) {
    meeting = new Stay(said.ticket, said.wishes);
    meeting.enter();
  } else if (said?.t === "leave") {
    meeting?.leave();
  } else if (said?.t === "receive") {
    meeting?.receive(said);
  } else if (said?.t === "send") {
    meeting?.send(said.media, said.on);
  } else {
    meeting?.do(said?.t, said?.id);
  }
});
addEventListener("pagehide", () => meeting?.leave());

tell({ t: "ready" });
