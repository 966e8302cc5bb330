// Messages of the proctors: each says that it came and, by a button, that it was read. While chat is on, an answer can be written.

import { pageData, t } from "./texts.js";
import { softTone } from "./tone.js";

const SHOWN = 20;
const REFUSED_WITHIN = 5000; // ms in which a refusal is about what was written last
const clock = new Intl.DateTimeFormat(pageData.language, { hour: "2-digit", minute: "2-digit" });

export class Messages {
  #root;
  #list;
  #form;
  #send;
  #announce;
  #known = new Map(); // id → list item
  #hasChat = false;
  #saidAt = 0;
  #lastSaid = "";
  #lastItem = null;

  constructor(root, send, announce) {
    this.#root = root;
    this.#send = send;
    this.#announce = announce;
    this.#list = root.querySelector("[data-message-list]");
    this.#form = root.querySelector("[data-say]");
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#say();
    });
  }

  /** A message, for the first time or again after the line broke. */
  take({ id, at, by, text }) {
    this.#send({ t: "message_delivered", id });
    if (this.#known.has(id)) {
      if (this.#known.get(id).dataset.read === "yes") this.#send({ t: "message_read", id });
      return;
    }
    const item = this.#add({ at, by: t("candidate.message.by", { name: by }), text });
    const read = Object.assign(document.createElement("button"), { type: "button", textContent: t("candidate.message.read") });
    read.addEventListener("click", () => this.#read(id, item, read));
    item.append(read);
    this.#known.set(id, item);
    this.#announce(`${t("candidate.message.by", { name: by })}: ${text}`);
    softTone();
  }

  leave() {
    this.#root.hidden = true;
  }

  #read(id, item, button) {
    if (!this.#send({ t: "message_read", id })) return; // not on the line now: it can be pressed again
    item.dataset.read = "yes";
    const said = Object.assign(document.createElement("p"), { className: "message-read", textContent: t("candidate.message.was_read"), tabIndex: -1 });
    button.replaceWith(said);
    said.focus();
  }

  /** What was written did not go out. */
  refused({ code }) {
    if (!["chat_off", "too_many", "bad_message"].includes(code) || Date.now() - this.#saidAt > REFUSED_WITHIN) return;
    this.#saidAt = 0;
    this.#root.querySelector("[data-say-state]").textContent = t(`candidate.say.${code === "chat_off" ? "off" : "wait"}`);
    if (code !== "chat_off") this.#form.elements.text.value = this.#lastSaid;
    this.#lastItem?.remove();
    this.#show();
  }

  chat(isOn) {
    this.#hasChat = isOn;
    this.#form.hidden = !isOn;
    this.#show();
  }

  #say() {
    const field = this.#form.elements.text;
    const text = field.value.trim();
    if (!text || !this.#send({ t: "say", text })) return;
    this.#root.querySelector("[data-say-state]").textContent = "";
    this.#saidAt = Date.now();
    this.#lastSaid = text;
    this.#lastItem = this.#add({ at: this.#saidAt, by: t("candidate.message.own"), text });
    this.#lastItem.dataset.read = "yes";
    field.value = "";
    field.focus();
  }

  #add({ at, by, text }) {
    const item = document.createElement("li");
    item.className = "message";
    const head = Object.assign(document.createElement("p"), { className: "message-head" });
    const name = Object.assign(document.createElement("bdi"), { textContent: by });
    const time = Object.assign(document.createElement("time"), { textContent: clock.format(at), dateTime: new Date(at).toISOString() });
    head.append(name, " ", time);
    const words = Object.assign(document.createElement("p"), { className: "message-words", textContent: text, dir: "auto" });
    item.append(head, words);
    this.#list.prepend(item);
    while (this.#list.childElementCount > SHOWN && this.#list.lastElementChild.dataset.read === "yes") this.#list.lastElementChild.remove();
    this.#show();
    return item;
  }

  #show() {
    this.#root.hidden = !this.#hasChat && this.#list.childElementCount === 0;
  }
}
