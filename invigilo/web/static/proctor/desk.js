// Deeds on one candidate, on several, on all: asked for once more where that is due, and their outcome told.

import { make, page, post, say, t } from "./page.js";
import { tell } from "./outcomes.js";

const NAMES_SHOWN = 12;
const find = (name) => document.querySelector(`[data-${name}]`);
const dialog = find("deed-dialog");
const form = find("deed-form");

/** Deeds that change what a candidate can do are asked for once more; several of the last two kinds by typing how many. */
const ASKED = new Set(["lock", "quit", "disable"]);
const COUNTED = new Set(["quit", "disable"]);

export class Desk {
  constructor(feed) {
    this.feed = feed;
    this.pending = null;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#answer();
    });
    find("deed-cancel").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      this.pending?.resolve(null);
      this.pending = null;
    });
    form.elements.count.addEventListener("input", () => this.#check());
  }

  /** On these connections; `all` means everybody who is connected, whoever is shown. Returns whether it was sent. */
  async act(deed, ids, { all = false } = {}) {
    const targets = all ? this.connected() : ids.filter((id) => this.feed.rows.has(id));
    if (!targets.length) {
      tell(t("desk.nobody"), { tone: "warning" });
      return false;
    }
    let message = "";
    if (ASKED.has(deed) || all) {
      const answer = await this.#ask(deed, targets, all);
      if (answer === null) return false;
      message = answer.message;
    }
    return this.#send(deed, targets, all, message);
  }

  connected() {
    return [...this.feed.rows.values()].filter((row) => row.state !== "closed" && row.state !== "disabled").map((row) => row.id);
  }

  async #send(deed, targets, all, message) {
    const body = { deed, connections: all ? "all" : targets, count: targets.length, ...(message ? { message } : {}) };
    try {
      const { done, refused } = await post(`${page.base}/deeds`, body);
      this.#report(deed, done, refused);
      return true;
    } catch (error) {
      tell(t("connection.failed", { message: error.message }), { tone: "problem" });
      return false;
    }
  }

  #report(deed, done, refused) {
    const who = done.length === 1 ? this.#name(done[0]) : t("desk.count", { count: done.length });
    if (done.length) tell(t(`desk.${deed}.done`, { who }));
    if (!refused.length) return;
    const reasons = new Map();
    for (const one of refused) reasons.set(one.message, [...(reasons.get(one.message) ?? []), this.#name(one.connection_id)]);
    for (const [reason, names] of reasons) {
      const shown = names.slice(0, 3).join(", ") + (names.length > 3 ? ` +${names.length - 3}` : "");
      tell(t("desk.refused", { names: shown, reason }), { tone: "warning" });
    }
  }

  #name(id) {
    return this.feed.rows.get(id)?.name ?? String(id);
  }

  // --- the second step ---

  #ask(deed, targets, all) {
    const count = targets.length;
    const who = count === 1 ? this.#name(targets[0]) : t(all ? "desk.everybody" : "desk.count", { count });
    this.pending?.resolve(null);
    form.reset();
    say(find("deed-title"), t(`desk.${deed}.title`, { who }));
    say(find("deed-text"), t(`desk.${deed}.text`));
    const names = targets.slice(0, NAMES_SHOWN).map((id) => make("li", {}, this.#name(id)));
    if (count > NAMES_SHOWN) names.push(make("li", { className: "muted" }, t("desk.more", { count: count - NAMES_SHOWN })));
    find("deed-names").replaceChildren(...(count > 1 ? names : []));
    find("deed-message").hidden = deed !== "lock";
    this.mustType = count > 1 && (COUNTED.has(deed) || all) ? count : null;
    find("deed-count").hidden = this.mustType === null;
    say(find("deed-count-label"), t("desk.type_count", { count }));
    say(find("deed-go"), t(`desk.${deed}.go`, { who }));
    find("deed-go").classList.toggle("danger", deed !== "lock");
    this.#check();
    dialog.showModal();
    const first = deed === "lock" ? form.elements.message : this.mustType === null ? find("deed-cancel") : form.elements.count;
    first.focus();
    return new Promise((resolve) => {
      this.pending = { resolve };
    });
  }

  #check() {
    find("deed-go").disabled = this.mustType !== null && form.elements.count.value.trim() !== String(this.mustType);
  }

  #answer() {
    if (find("deed-go").disabled) return;
    this.pending?.resolve({ message: form.elements.message.value.trim() });
    this.pending = null;
    dialog.close();
  }
}

/** "Lock: delivered": what a proctor asked last, and what the client made of it. */
export function showDeed(element, row) {
  const deed = row.deed ?? null;
  const mark = deed ? `${deed.what} ${deed.answer}` : "";
  if (element.dataset.mark === mark) return;
  element.dataset.mark = mark;
  element.hidden = deed === null;
  if (!deed) return say(element, "");
  element.dataset.tone = { done: "ok", no_answer: "problem", not_delivered: "problem" }[deed.answer] ?? "info";
  say(element, t("desk.state", { what: t(`desk.${deed.what}.name`), answer: t(`desk.answer.${deed.answer}`) }));
  element.title = t(`desk.answer_help.${deed.answer}`);
}
