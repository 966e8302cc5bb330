// Live video: one connection for each proctor who watches, offered by us. We send from the start; what comes back is silent
// until that proctor speaks, and is heard only as the server allows (hearing.js).

import { after } from "./timer.js";

const DEFAULT_VIDEO = { frame_rate: 12, max_bitrate: 150_000 };
const UPLINK = 3; // all watchers together get at most so many times the bitrate of one
const SMALLEST_BITRATE = 40_000;
const SMALLEST_FRAME_RATE = 5;
const DISCONNECTED_FOR = 2500; // ms before we make a restart ourselves: short gaps heal alone
const RESTART_DELAYS = [500, 2000, 5000, 10_000];
const FORGET_UNCLAIMED = 10_000; // ms after a new socket; the server names all who still watch at once

const STATES = new Set(["connecting", "connected", "disconnected", "failed", "closed"]);

export class Peers {
  #devices;
  #send;
  #peers = new Map();
  #video = DEFAULT_VIDEO;
  #watchers = 0;
  /** A connection's state changed: (state, whether any connection works). */
  onState = () => {};
  /** A proctor's track: (peer, track). */
  onTrack = () => {};
  onClosed = () => {};

  constructor(devices, send) {
    this.#devices = devices;
    this.#send = send;
  }

  /** A new socket: connections live on until the server names them again, or not. */
  newSocket() {
    const unclaimed = [...this.#peers.values()];
    unclaimed.forEach((peer) => (peer.isIntroduced = false));
    after(FORGET_UNCLAIMED, () => {
      for (const peer of unclaimed) {
        if (this.#peers.get(peer.name) === peer && !peer.isIntroduced) this.#close(peer);
      }
    });
  }

  watch(name, iceServers) {
    const before = this.#peers.get(name);
    if (before) this.#close(before);
    let peer;
    try {
      peer = new Peer(name, iceServers, this.#devices, {
        send: this.#send,
        onState: (state) => this.onState(state, this.hasConnected),
        onTrack: (track) => this.onTrack(name, track),
      });
    } catch {
      this.#send({ t: "peer", peer: name, state: "failed" });
      this.onState("failed", this.hasConnected);
      return;
    }
    this.#peers.set(name, peer);
    this.#adapt();
    peer.offer();
  }

  unwatch(name) {
    const peer = this.#peers.get(name);
    if (!peer) return;
    this.#close(peer);
    this.#adapt();
  }

  signal(message) {
    const peer = this.#peers.get(message.peer);
    if (peer) peer.hear(message);
  }

  restart(name) {
    const peer = this.#peers.get(name);
    if (peer) peer.restart();
  }

  setVideo(video) {
    this.#video = { ...DEFAULT_VIDEO, ...video };
    this.#adapt();
  }

  setWatchers(count) {
    this.#watchers = count;
    this.#adapt();
  }

  tracksChanged() {
    for (const peer of this.#peers.values()) peer.useTracks();
  }

  /** What the microphone has given so far, by one connection's own count; null where none can tell. */
  async soundSent() {
    for (const peer of this.#peers.values()) {
      if (peer.isConnected) return peer.soundSent();
    }
    return null;
  }

  wake() {
    for (const peer of this.#peers.values()) peer.wake();
  }

  closeAll() {
    for (const peer of [...this.#peers.values()]) this.#close(peer);
  }

  get hasConnected() {
    return [...this.#peers.values()].some((peer) => peer.isConnected);
  }

  #close(peer) {
    this.#peers.delete(peer.name);
    peer.close();
    this.onClosed(peer.name);
  }

  /** Each watcher costs an upload: more watchers, smaller ones. */
  #adapt() {
    const count = Math.max(1, this.#peers.size, this.#watchers);
    const share = Math.min(1, UPLINK / count);
    const limits = {
      maxBitrate: Math.max(SMALLEST_BITRATE, Math.round(this.#video.max_bitrate * share)),
      maxFramerate: Math.max(SMALLEST_FRAME_RATE, Math.round(this.#video.frame_rate * Math.min(1, share * 1.5))),
    };
    for (const peer of this.#peers.values()) peer.limit(limits);
  }
}

class Peer {
  isIntroduced = true;
  #devices;
  #send;
  #onState;
  #connection;
  #senders = {};
  #turn = Promise.resolve();
  #early = [];
  #limits = null;
  #restarts = 0;
  #isRestartDue = false;
  #cancelRestart = null;
  #isClosed = false;

  constructor(name, iceServers, devices, { send, onState, onTrack }) {
    this.name = name;
    this.#devices = devices;
    this.#send = send;
    this.#onState = onState;
    const connection = new RTCPeerConnection({ iceServers: iceServers || [], bundlePolicy: "max-bundle" });
    this.#connection = connection;
    connection.onicecandidate = ({ candidate }) => this.#tell({ kind: "candidate", candidate: plain(candidate) });
    connection.onconnectionstatechange = () => this.#changed(connection.connectionState);
    connection.ontrack = ({ track }) => onTrack(track);
    // Both kinds and both ways from the start, with or without a device: what is plugged in later, here or at the proctor's,
    // needs no new offer, so a voice is there at once.
    for (const [device, kind] of [["camera", "video"], ["microphone", "audio"]]) {
      const options = { direction: "sendrecv", streams: [devices.stream] };
      if (kind === "video") options.sendEncodings = [{ maxBitrate: DEFAULT_VIDEO.max_bitrate }];
      const track = devices.tracks[device];
      this.#senders[device] = connection.addTransceiver(track || kind, options).sender;
    }
  }

  get isConnected() {
    return this.#connection.connectionState === "connected";
  }

  offer(options = {}) {
    return this.#inTurn(async () => {
      const description = await this.#connection.createOffer(options);
      await this.#connection.setLocalDescription(description);
      this.#tell({ kind: "offer", sdp: this.#connection.localDescription.sdp });
    });
  }

  async soundSent() {
    try {
      for (const stat of (await this.#senders.microphone.getStats()).values()) {
        if (stat.type !== "media-source" || stat.totalAudioEnergy === undefined) continue;
        return { source: `${this.name} ${stat.id}`, energy: stat.totalAudioEnergy, seconds: stat.totalSamplesDuration };
      }
    } catch {
      // a connection that is being closed
    }
    return null;
  }

  /** New paths for the same connection. While an offer is unanswered it waits for the answer. */
  restart() {
    if (this.#isClosed) return;
    if (this.#connection.signalingState === "have-local-offer" && this.#connection.remoteDescription) {
      this.#isRestartDue = true;
      return;
    }
    this.offer({ iceRestart: true });
  }

  hear(message) {
    if (message.kind === "answer") return this.#inTurn(() => this.#answered(message.sdp));
    if (message.kind === "candidate") return this.#inTurn(() => this.#candidate(message.candidate));
    return undefined;
  }

  async #answered(sdp) {
    if (this.#connection.signalingState !== "have-local-offer") return;
    await this.#connection.setRemoteDescription({ type: "answer", sdp });
    const early = this.#early;
    this.#early = [];
    for (const candidate of early) await this.#candidate(candidate);
    if (this.#isRestartDue) {
      this.#isRestartDue = false;
      after(0, () => this.restart());
    }
  }

  async #candidate(candidate) {
    if (!candidate || !candidate.candidate) return;
    if (!this.#connection.remoteDescription) {
      this.#early.push(candidate);
      return;
    }
    await this.#connection.addIceCandidate(candidate);
  }

  useTracks() {
    for (const [device, sender] of Object.entries(this.#senders)) {
      const track = this.#devices.tracks[device];
      if (sender.track !== track) sender.replaceTrack(track).catch(() => {});
    }
  }

  limit(limits) {
    this.#limits = limits;
    this.#inTurn(() => this.#applyLimits());
  }

  async #applyLimits() {
    const sender = this.#senders.camera;
    const parameters = sender.getParameters();
    if (!this.#limits || !parameters.encodings || !parameters.encodings.length) return;
    Object.assign(parameters.encodings[0], this.#limits);
    // A proctor needs to recognise what is seen; fewer frames harm less than a smaller picture.
    try {
      await sender.setParameters({ ...parameters, degradationPreference: "maintain-resolution" });
    } catch {
      const plainOnes = sender.getParameters();
      Object.assign(plainOnes.encodings[0], this.#limits);
      await sender.setParameters(plainOnes);
    }
  }

  wake() {
    if (["disconnected", "failed"].includes(this.#connection.connectionState)) this.restart();
  }

  close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#cancelRestart) this.#cancelRestart();
    this.#connection.onicecandidate = this.#connection.onconnectionstatechange = this.#connection.ontrack = null;
    this.#connection.close();
    if (this.isIntroduced) this.#send({ t: "peer", peer: this.name, state: "closed" });
  }

  #changed(connectionState) {
    const state = STATES.has(connectionState) ? connectionState : "connecting";
    if (this.#cancelRestart) this.#cancelRestart();
    this.#cancelRestart = null;
    if (state === "connected") {
      this.#restarts = 0;
      this.#inTurn(() => this.#applyLimits());
    }
    if (state === "disconnected") this.#restartIn(DISCONNECTED_FOR);
    if (state === "failed") this.#restartIn(RESTART_DELAYS[Math.min(this.#restarts++, RESTART_DELAYS.length - 1)]);
    if (this.isIntroduced) this.#send({ t: "peer", peer: this.name, state });
    this.#onState(state);
  }

  #restartIn(delay) {
    this.#cancelRestart = after(delay, () => this.restart());
  }

  /** Only of a connection the server introduced on this socket: it refuses all others. */
  #tell(signal) {
    if (this.isIntroduced && !this.#isClosed) this.#send({ t: "signal", peer: this.name, ...signal });
  }

  /** One step after the other; a step that fails does not stop the next. */
  #inTurn(step) {
    this.#turn = this.#turn.then(() => (this.#isClosed ? undefined : step())).catch(() => {});
    return this.#turn;
  }
}

/** Exactly the fields the server takes; null for the end of candidates. */
function plain(candidate) {
  if (!candidate || !candidate.candidate) return null;
  const { sdpMid, sdpMLineIndex, usernameFragment } = candidate.toJSON();
  return {
    candidate: candidate.candidate,
    sdpMid: sdpMid ?? null,
    sdpMLineIndex: sdpMLineIndex ?? null,
    usernameFragment: usernameFragment ?? null,
  };
}
