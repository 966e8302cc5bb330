// What the proctors do, said calmly: who speaks, whether it is to this candidate alone, and that the room is another one now.

import { Hearing } from "./hearing.js";
import { showMark } from "./marks.js";
import { t } from "./texts.js";

export class ProctorCard {
  #root;
  #home = null; // number of the collecting room as told last
  #moved = false;
  #says = null;
  #announce;
  hearing;

  constructor(root, announce) {
    this.#root = root;
    this.#announce = announce;
    this.hearing = new Hearing(root);
  }

  /** Where this candidate is, and what may be received there. */
  place(message) {
    const { room } = message;
    const isCollecting = room !== null && (room.kind ?? "collecting") === "collecting";
    if (isCollecting) {
      this.#moved = this.#home !== null && this.#home !== room.number ? true : this.#moved && this.#home === room.number;
      this.#home = room.number;
    }
    // At a service's meeting the sound comes through the meeting's own frame.
    const isHere = !message.meeting;
    this.hearing.allow({ audio: isHere && message.receive_audio, video: isHere && message.receive_video });
    this.#say(room, message, isCollecting);
  }

  leave() {
    this.hearing.allow({ audio: false, video: false });
    this.#root.hidden = true;
  }

  #say(room, { receive_audio: audio, receive_video: video, chat, beyond }, isCollecting) {
    const key = beyond ? "beyond" : this.#key(room, { audio, video, chat }, isCollecting);
    const isNews = key !== this.#says;
    const hadSomething = this.#says !== null;
    this.#says = key;
    this.#root.hidden = key === null;
    this.#root.dataset.says = key ?? "nothing";
    if (!isNews) return;
    if (key === null) return hadSomething ? this.#announce(t("candidate.proctor.over")) : undefined;
    const title = t(`candidate.proctor.${key}`, { number: room?.number });
    const words = t(`candidate.proctor.${key}.words`, { number: room?.number });
    showMark(this.#root.querySelector("[data-proctor-mark]"), "info");
    this.#root.querySelector("[data-proctor-title]").textContent = title;
    this.#root.querySelector("[data-proctor-words]").textContent = words;
    this.#announce(`${title} ${words}`);
  }

  #key(room, { audio, video, chat }, isCollecting) {
    if (room === null) return null;
    const doing = video ? "shows" : audio ? "speaks" : chat ? "writes" : "quiet";
    if (!isCollecting) return `${room.kind}.${doing}`;
    if (doing !== "quiet") return `room.${doing}`;
    return this.#moved ? "room.moved" : null;
  }
}
