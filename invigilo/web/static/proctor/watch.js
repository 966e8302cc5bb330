// Live video of candidates: one peer connection each. The candidate's page offers both ways, we answer both ways and send
// nothing, until this page holds a broadcast: then our tracks are put in, and no new description is needed for it.

const RESTART_AFTER = 2_500; // ms of a broken path before an ICE restart is asked for
const START_OVER_AFTER = 9_000; // ms before everything is made anew
const REPORT_EVERY = 1_000;

const NOTHING = { audio: null, video: null };

/** All watched connections of this page. */
export class Watches {
  constructor(feed) {
    this.feed = feed;
    this.watches = new Map();
    this.outgoing = () => NOTHING;
    feed.on("signal", (message) => this.watches.get(message.connection)?.take(message));
    feed.on("watching", (message) => this.watches.get(message.connection)?.introduced());
    feed.on("not_watching", (message) => this.watches.get(message.connection)?.notIntroduced());
    feed.on("snapshot", () => {
      for (const watch of this.watches.values()) watch.ask();
    });
    setInterval(() => this.report(), REPORT_EVERY);
  }

  /** Want live video of this connection in this element, until `stop`; `wantsVideo` false: only be heard by it. */
  start(id, video, onChange, { wantsVideo = true } = {}) {
    if (this.watches.has(id)) return;
    const watch = new Watch(this, id, video, onChange);
    watch.wantsVideo = wantsVideo;
    this.watches.set(id, watch);
    watch.ask();
  }

  stop(id) {
    this.watches.get(id)?.end();
    this.watches.delete(id);
  }

  /** How loud it is there now, 0 to 1; null where no sound arrives. */
  level(id) {
    return this.watches.get(id)?.level() ?? null;
  }

  isLive(id) {
    return this.watches.get(id)?.isLive ?? false;
  }

  /** Whether what this page sends gets there. */
  isConnected(id) {
    return this.watches.get(id)?.pc?.connectionState === "connected";
  }

  /** What this page sends, and to whom, has changed: `outgoing(id)` gives `{audio, video, limits}`. */
  send(outgoing = this.outgoing) {
    this.outgoing = outgoing;
    for (const watch of this.watches.values()) watch.send();
  }

  /** What arrived, for the server's truth; and what stands still is mended. */
  async report() {
    const reports = await Promise.all([...this.watches.values()].map((watch) => watch.measure()));
    const found = reports.filter((one) => one !== null);
    if (found.length) this.feed.send({ t: "frames", reports: found });
  }
}

class Watch {
  constructor(watches, id, video, onChange) {
    this.watches = watches;
    this.feed = watches.feed;
    this.id = id;
    this.video = video;
    this.onChange = onChange;
    this.pc = null;
    this.session = null;
    this.isLive = false;
    this.decoded = 0;
    this.brokenSince = 0;
    this.askedAt = 0;
    this.queue = Promise.resolve();
  }

  ask() {
    this.askedAt = performance.now();
    this.feed.send({ t: "watch", connection: this.id });
  }

  introduced() {
    this.brokenSince = 0;
  }

  notIntroduced() {
    this.drop();
  }

  /** Signals act one after the other: a candidate must not overtake the description it belongs to. */
  take(message) {
    this.queue = this.queue.then(() => this.act(message)).catch(() => this.drop());
  }

  async act(message) {
    if (message.kind === "candidate") {
      if (this.pc && message.candidate) await this.pc.addIceCandidate(message.candidate).catch(() => {});
      return;
    }
    const session = /^o=\S+ (\S+)/m.exec(message.sdp)?.[1];
    const fingerprint = /^a=fingerprint:(.*)$/m.exec(message.sdp)?.[1];
    const name = `${session} ${fingerprint}`;
    if (!this.pc || this.session !== name) {
      this.drop();
      this.open(name);
    }
    const pc = this.pc;
    await pc.setRemoteDescription({ type: "offer", sdp: message.sdp });
    const used = firstOfEach(pc);
    for (const transceiver of pc.getTransceivers()) {
      const isUnseen = transceiver === used.video && !this.wantsVideo;
      transceiver.direction = !Object.values(used).includes(transceiver) ? "inactive" : isUnseen ? "sendonly" : "sendrecv";
    }
    await this.useTracks(pc);
    await pc.setLocalDescription(await pc.createAnswer());
    this.feed.send({ t: "signal", connection: this.id, kind: "answer", sdp: pc.localDescription.sdp });
  }

  open(name) {
    const pc = new RTCPeerConnection({ iceServers: this.feed.iceServers, bundlePolicy: "max-bundle" });
    this.pc = pc;
    this.session = name;
    this.decoded = 0;
    const stream = new MediaStream();
    pc.ontrack = ({ track, receiver, transceiver }) => {
      if (firstOfEach(pc)[track.kind] !== transceiver) return;
      if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = 0;
      stream.addTrack(track);
      if (track.kind === "audio") this.hearing = receiver;
      if (track.kind !== "video") return;
      this.receiver = receiver;
      this.video.srcObject = stream;
      this.video.play().catch(() => {});
      this.waitForFrame();
    };
    pc.onicecandidate = ({ candidate }) => {
      if (pc !== this.pc) return;
      const plain = candidate && {
        candidate: candidate.candidate,
        sdpMid: candidate.sdpMid,
        sdpMLineIndex: candidate.sdpMLineIndex,
        usernameFragment: candidate.usernameFragment,
      };
      this.feed.send({ t: "signal", connection: this.id, kind: "candidate", candidate: plain });
    };
    pc.onconnectionstatechange = () => pc === this.pc && this.pathChanged(pc.connectionState);
  }

  /** In turn with the signals, so that no track is put into a connection that is just being replaced. */
  send() {
    this.queue = this.queue.then(() => this.pc && this.useTracks(this.pc)).catch(() => {});
  }

  async useTracks(pc) {
    const outgoing = this.watches.outgoing(this.id);
    for (const [kind, { sender }] of Object.entries(firstOfEach(pc))) {
      const track = outgoing[kind];
      if (sender.track !== track) await sender.replaceTrack(track);
      if (track && kind === "video") await limit(sender, outgoing.limits);
    }
  }

  waitForFrame() {
    const { pc, video } = this;
    const shown = () => pc === this.pc && this.become(true);
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(shown);
    else video.addEventListener("timeupdate", shown, { once: true });
  }

  pathChanged(state) {
    if (state === "connected") this.brokenSince = 0;
    else if ((state === "disconnected" || state === "failed") && !this.brokenSince) {
      this.brokenSince = performance.now();
      this.restarted = false;
    }
  }

  become(live) {
    if (this.isLive === live) return;
    this.isLive = live;
    this.onChange(live);
  }

  /** Frames decoded since last time; null while there is nothing to say. Also mends a path that stays broken. */
  async measure() {
    this.mend();
    if (!this.receiver || !this.pc) return null;
    const { pc } = this;
    let found = null;
    try {
      for (const stat of (await this.receiver.getStats()).values()) if (stat.type === "inbound-rtp") found = stat;
    } catch {
      return null;
    }
    if (!found || pc !== this.pc) return null;
    const frames = Math.max(0, (found.framesDecoded ?? 0) - this.decoded);
    this.decoded = found.framesDecoded ?? 0;
    this.quiet = frames ? 0 : (this.quiet ?? 0) + 1;
    if (this.quiet >= 4) this.become(false);
    else if (frames && this.decoded > 1) this.become(true);
    return { connection: this.id, frames, width: found.frameWidth ?? 0, height: found.frameHeight ?? 0 };
  }

  /** As the sender measured it; the receiver's own count stands still while nothing is played aloud. */
  level() {
    if (!this.hearing || !this.isLive) return null;
    const [source] = this.hearing.getSynchronizationSources();
    return source?.audioLevel ?? null;
  }

  mend() {
    if (!this.brokenSince) return;
    const broken = performance.now() - this.brokenSince;
    if (broken > START_OVER_AFTER) {
      this.brokenSince = 0;
      this.drop();
      this.feed.send({ t: "unwatch", connection: this.id });
      this.ask();
    } else if (broken > RESTART_AFTER && !this.restarted) {
      this.restarted = true;
      this.feed.send({ t: "restart", connection: this.id });
    }
  }

  drop() {
    this.become(false);
    const old = this.pc;
    this.pc = null;
    this.session = null;
    this.receiver = null;
    this.hearing = null;
    if (!old) return;
    old.onconnectionstatechange = old.onicecandidate = old.ontrack = null;
    old.close();
    this.video.srcObject = null;
  }

  end() {
    this.feed.send({ t: "unwatch", connection: this.id });
    this.drop();
  }
}

/** One picture and one sound each way, whatever a candidate's page offers: each of ours would be encoded once more. */
function firstOfEach(pc) {
  const found = {};
  for (const transceiver of pc.getTransceivers()) found[transceiver.receiver.track.kind] ??= transceiver;
  return found;
}

/** Every watched candidate costs an encoder of its own: many of them get a smaller picture, fewer times a second. */
async function limit(sender, limits) {
  const parameters = sender.getParameters();
  const [encoding] = parameters.encodings ?? [];
  if (!encoding || !limits || Object.entries(limits).every(([name, value]) => encoding[name] === value)) return;
  Object.assign(encoding, limits);
  parameters.degradationPreference = "maintain-framerate";
  await sender.setParameters(parameters).catch(() => {});
}
