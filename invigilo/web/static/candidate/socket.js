// The page's socket: says hello, keeps the line alive and comes back by itself, however it was lost.

import { after, every } from "./timer.js";

const PING_EVERY = 3000;
const SILENCE = 8000; // without a pong for so long, the line counts as dead
const ANSWER_AFTER_WAKING = 3000;
const FIRST_DELAY = 500;
const LONGEST_DELAY = 8000;
const STILL_WAITING = 96 * 1024; // bytes not sent yet: a new still would only come late

const CLOSED = { examChosen: 4000, replaced: 4001, ended: 4002, tooMuch: 4008 };

/**
 * States: `connecting`, `connected` (after the server's welcome), `reconnecting`, `replaced`, `ended`.
 * After the last two it stays closed until `open()` is called.
 */
export class Socket {
  #path;
  #hello;
  #socket = null;
  #delay = FIRST_DELAY;
  #cancelRetry = null;
  #number = 0;
  #deadline = 0; // when a pong or a welcome must have come
  #endedReason = null;

  state = "connecting";
  onState = () => {};
  onOpen = () => {};
  onMessage = () => {};

  constructor(path, hello) {
    this.#path = path;
    this.#hello = hello;
    every(() => PING_EVERY, () => this.#beat());
  }

  open() {
    this.#forget();
    this.#endedReason = null;
    if (this.isStopped) this.#change("connecting");
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.#path}`);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#deadline = Date.now() + SILENCE;
    socket.onopen = () => {
      socket.send(JSON.stringify({ t: "hello", ...this.#hello }));
      this.onOpen();
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.#read(data);
    };
    socket.onclose = ({ code }) => this.#lost(code);
  }

  /** The page, the machine or the network woke up: prove the line, or make a new one now. */
  wake() {
    if (this.isStopped) return;
    if (this.state !== "connected") {
      const isUnderWay = this.#socket && this.#socket.readyState <= WebSocket.OPEN && Date.now() < this.#deadline;
      if (!isUnderWay) this.open();
      return;
    }
    this.#ping();
    this.#deadline = Math.min(this.#deadline, Date.now() + ANSWER_AFTER_WAKING);
    after(ANSWER_AFTER_WAKING + 100, () => this.#judge());
  }

  get isStopped() {
    return this.state === "replaced" || this.state === "ended";
  }

  send(message) {
    if (this.state !== "connected") return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  get hasRoomForStill() {
    return this.state === "connected" && this.#socket.bufferedAmount < STILL_WAITING;
  }

  sendStill(jpeg) {
    if (this.hasRoomForStill) this.#socket.send(jpeg);
  }

  #read(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (message.t === "pong" || message.t === "welcome") this.#deadline = Date.now() + SILENCE;
    if (message.t === "welcome") {
      this.#delay = FIRST_DELAY;
      this.#change("connected");
    }
    if (message.t === "ended") this.#endedReason = message.reason;
    this.onMessage(message);
  }

  #beat() {
    if (this.state === "connected") this.#ping();
    this.#judge();
  }

  #ping() {
    this.#number += 1;
    this.send({ t: "ping", n: this.#number });
  }

  #judge() {
    if (this.#socket && Date.now() > this.#deadline) this.#lost(0);
  }

  #lost(code) {
    this.#forget();
    if (code === CLOSED.replaced) return this.#change("replaced");
    if (code === CLOSED.ended) return this.#change("ended", this.#endedReason || "unknown");
    if (code === CLOSED.tooMuch) this.#delay = LONGEST_DELAY;
    const delay = code === CLOSED.examChosen ? 0 : this.#delay * (0.75 + Math.random() / 2);
    this.#delay = Math.min(this.#delay * 2, LONGEST_DELAY);
    this.#change("reconnecting");
    this.#cancelRetry = after(delay, () => this.open());
  }

  /** Lets go of the present socket without hearing from it again. */
  #forget() {
    if (this.#cancelRetry) this.#cancelRetry();
    this.#cancelRetry = null;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #change(state, reason = null) {
    if (state === this.state && reason === null) return;
    this.state = state;
    this.onState(state, reason);
  }
}
