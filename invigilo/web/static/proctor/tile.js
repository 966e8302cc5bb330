// One candidate on a wall: live video where it can be had, stills else, and the cause where neither comes.

import { callButtons } from "./call_buttons.js";
import { showDeed } from "./desk.js";
import { flagButton, showFlag } from "./flag.js";
import { icon, make, page, say, set, t } from "./page.js";
import { Meter } from "./sound.js";
import { nextStepOf, sentenceOf, showNotifications } from "./status.js";
import { clearStill, showStill } from "./stills.js";

const STILL_FRESH = 5_000; // ms a still counts as a picture

export class Tile {
  constructor(id, { watches, sound = null, enlarge = null, details = true, calls = null, flag = null, wantsVideo = true }) {
    this.id = id;
    this.watches = watches;
    this.row = null;
    this.isLive = false;
    this.stillAt = -Infinity;
    this.video = make("video", { autoplay: true, muted: true, playsInline: true, disablePictureInPicture: true });
    this.image = make("img", { alt: "" });
    this.word = make("span", { className: "tile-word" }, icon("info"), make("span"));
    this.cause = make("div", { className: "tile-cause" });
    this.button = make("button", { type: "button", className: "stage-button" });
    this.name = make("span", { className: "tile-name" });
    this.open = make("span", { className: "tile-open" });
    this.hand = make("span", { className: "tile-hand", hidden: true });
    this.deed = make("span", { className: "deed-state", hidden: true });
    this.meter = new Meter();
    this.flag = flag && flagButton(() => flag(this.row));
    this.sound = sound && make("button", { type: "button", className: "round", "aria-pressed": "false" }, icon("mute"));
    this.away = make("span", { className: "tile-away" });
    this.calls = calls ? callButtons(id, calls) : [];
    this.details =
      details &&
      make("a", { className: "round", href: `${page.base}/connections/${id}` }, icon("details"));
    this.root = make(
      "article",
      { className: "tile", "data-id": id },
      make("div", { className: "stage" }, this.image, this.video, this.word, this.cause, enlarge && this.button, make("div", { className: "tile-asks" }, this.hand, this.open)),
      make("div", { className: "tile-foot" }, this.name, this.away, this.deed, make("span", { className: "tile-tools" }, this.meter.root, this.sound || null, ...this.calls, this.flag, this.details || null)),
    );
    if (enlarge) this.button.addEventListener("click", () => enlarge(this));
    if (sound) this.sound.addEventListener("click", () => sound(this));
    const onChange = (live) => {
      this.isLive = live;
      this.refresh();
      this.onLive?.(live);
    };
    watches.start(id, this.video, onChange, { wantsVideo });
  }

  still(jpeg) {
    this.stillAt = performance.now();
    if (!this.isLive) showStill(this.image, jpeg);
    if (!this.root.classList.contains("has-picture")) this.refresh();
  }

  show(row) {
    this.row = row;
    set(this.root, "data-severity", row.severity);
    say(this.name, row.name);
    set(this.name, "title", row.group ? `${row.name} · ${row.group}` : row.name);
    set(this.button, "aria-label", t(this.isLarge ? "tile.shrink" : "tile.enlarge", { name: row.name }));
    if (this.sound) set(this.sound, "aria-label", t(this.isHeard ? "tile.sound_off" : "tile.sound_on", { name: row.name }));
    if (this.sound) set(this.sound, "title", this.sound.getAttribute("aria-label"));
    if (this.details) {
      set(this.details, "aria-label", t("tile.details_of", { name: row.name }));
      set(this.details, "title", t("tile.details"));
    }
    for (const button of this.calls) button.show(row);
    const isAway = row.called !== null && row.called !== undefined && row.called.room !== page.roomId;
    say(this.away, isAway ? t(row.called.kind === "town_hall" ? "call.away_hall" : "call.away") : "");
    showNotifications(this.open, row);
    this.showHand(row);
    showDeed(this.deed, row);
    if (this.flag) showFlag(this.flag, row);
    this.refresh();
  }

  /** What can be seen now: live, a still, or nothing and why. */
  refresh() {
    const hasStill = !this.isLive && performance.now() - this.stillAt < STILL_FRESH;
    this.root.classList.toggle("has-video", this.isLive);
    this.root.classList.toggle("has-picture", this.isLive || hasStill);
    if (!this.isLive && !hasStill && this.image.address) clearStill(this.image);
    const [tone, shape, text] = this.isLive
      ? ["ok", "ok", t("tile.live")]
      : hasStill
        ? ["warning", "camera", t("tile.stills")]
        : ["none", "none", ""];
    this.word.hidden = text === "";
    if (this.word.dataset.tone !== tone) {
      this.word.dataset.tone = tone;
      this.word.firstChild.querySelector("use").setAttribute("href", `${document.body.dataset.icons}#${shape}`);
    }
    say(this.word.lastChild, text);
    this.showCause(this.isLive || hasStill);
  }

  showCause(hasPicture) {
    const { row } = this;
    if (!row) return;
    const isStale = !hasPicture && document.body.classList.contains("is-stale");
    const matters = !isStale && row.cause && (row.severity !== "info" || !hasPicture) && row.cause !== "exam_not_started";
    const sentence = matters ? sentenceOf(row) : hasPicture ? "" : t(isStale ? "tile.no_news" : "tile.waiting");
    const mark = `${row.severity} ${sentence} ${hasPicture}`;
    if (this.causeMark === mark) return;
    this.causeMark = mark;
    this.cause.hidden = sentence === "";
    if (!sentence) return;
    const shape = matters ? row.severity : "info";
    this.cause.replaceChildren(make("strong", {}, icon(shape === "ok" ? "info" : shape), sentence));
    if (matters) this.cause.append(make("span", {}, nextStepOf(row)));
  }

  /** What the hand or the lock says, over the picture: a word that needs an answer is not hidden in a tooltip. */
  showHand(row) {
    const open = row.notifications[0];
    const text = open ? open.text || t(open.kind === "raisehand" ? "hand" : "lockscreen") : "";
    this.hand.hidden = text === "";
    if (this.hand.dataset.mark === text) return;
    this.hand.dataset.mark = text;
    this.hand.replaceChildren(...(open ? [icon(open.kind === "raisehand" ? "hand" : "lock"), make("span", {}, text)] : []));
  }

  measure() {
    this.meter.show({ level: this.isLive ? this.watches.level(this.id) : null, told: this.row?.microphone ?? "none" });
  }

  /** A browser that wants a click first leaves the picture running, and the button up. */
  async hear(on) {
    this.showHeard(on);
    this.video.muted = !on;
    if (!on || !this.video.srcObject) return true;
    try {
      await this.video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError") return true;
      this.video.muted = true;
      this.video.play().catch(() => {});
      this.showHeard(false);
      return false;
    }
    return true;
  }

  showHeard(on) {
    this.isHeard = on;
    set(this.sound, "aria-pressed", String(on));
    this.sound.querySelector("use").setAttribute("href", `${document.body.dataset.icons}#${on ? "sound" : "mute"}`);
    if (this.row) this.show(this.row);
  }

  enlarge(on) {
    this.isLarge = on;
    this.root.classList.toggle("is-large", on);
    if (this.row) this.show(this.row);
  }

  remove() {
    this.watches.stop(this.id);
    clearStill(this.image);
    this.root.remove();
  }
}
