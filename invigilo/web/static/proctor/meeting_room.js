// A room's window where the room is a service's meeting: its frame, and beside it everybody who should be in there.

import { enter, originOf } from "../meeting/meeting.js";
import { Feed } from "./feed.js";
import { PeopleList } from "./meeting_people.js";
import { page, say, t } from "./page.js";
import { showTabs } from "./room_list.js";
import { isGone, sentenceOf } from "./status.js";

const SAY_EVERY = 1_000; // ms between two reports of whom this page finds in the meeting
const ANSWER_WITHIN = 8_000;
const FIRST_PAUSE = 2_000;
const LONGEST_PAUSE = 30_000;
const TONES = { joining: "info", joined: "ok", waiting: "info", lost: "warning", kicked: "warning" };

const find = (name) => document.querySelector(`[data-${name}]`);
const feed = new Feed();
const tabs = find("room-tabs");
const announce = find("announce");
const people = new PeopleList({ may: () => entrance.note === "", pin, mute, remove });

// --- into the meeting, and back into it ---

class Entrance {
  meeting = null;
  state = "waiting";
  note = "";
  pause = FIRST_PAUSE;
  timer = 0;
  trouble = 0;

  /** Whatever was, begin anew: a first load, a lost meeting, a proctor's own wish. */
  ask() {
    clearTimeout(this.timer);
    this.meeting?.leave();
    this.meeting = null;
    if (feed.send({ t: "enter", room: page.roomNumber, trouble: this.trouble })) this.become(this.state === "waiting" ? "joining" : this.state);
    this.timer = setTimeout(() => this.ask(), ANSWER_WITHIN);
  }

  ticket(message) {
    if (this.meeting) return;
    clearTimeout(this.timer);
    if (originOf(message) !== page.meetingOrigin) return location.reload(); // the service moved: this page may not use the new one
    const wishes = { role: "proctor", language: page.language, title: t("meeting.frame"), frame: page.meetingFrame };
    const mine = enter(message, find("meeting-frame"), wishes, {
      state: (state, detail) => mine === this.meeting && this.heard(state, detail),
      change: () => mine === this.meeting && show(),
    });
    this.meeting = mine;
    this.note = message.note ?? "";
  }

  noTicket(message) {
    this.become("waiting", message.message);
    this.later();
  }

  heard(state, detail) {
    this.trouble = this.meeting.code ?? 0;
    this.become(state, detail);
    if (state === "joined") this.pause = FIRST_PAUSE;
    if (state === "joining" || state === "joined") return;
    this.meeting = null;
    feed.send({ t: "seen", room: page.roomNumber, participants: null });
    show();
    if (state !== "kicked") this.later();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), this.pause);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
  }

  become(state, detail = "") {
    this.state = state;
    const place = find("meeting-state");
    place.dataset.tone = TONES[state] ?? "problem";
    say(place, t(`meeting.state.${state}`));
    place.title = detail;
    this.showNote(state);
    find("do=again").hidden = state === "joining" || state === "joined";
    for (const button of document.querySelectorAll('[data-do="tiles"], [data-do="mute_all"]')) button.disabled = state !== "joined" || (button.dataset.do === "mute_all" && this.note !== "");
  }

  /** What this page cannot do in there, and the service's own number for what went wrong. */
  showNote(state) {
    let text = this.trouble && state !== "joined" ? t("meeting.trouble", { code: this.trouble }) : "";
    if (state === "joined" && this.note) text = t(`meeting.note.${this.note}`);
    else if (state === "joined" && this.meeting?.isIsolated === false) text = t("meeting.note.few_tiles");
    const place = find("meeting-note");
    say(place, text);
    place.hidden = text === "";
  }

  get participants() {
    return this.state === "joined" && this.meeting ? [...this.meeting.participants.values()] : null;
  }
}

const entrance = new Entrance();

// --- who should be there, and who is ---

const collator = new Intl.Collator(page.language, { numeric: true, sensitivity: "base" });
const belongs = (row) => row.room === page.roomNumber && !isGone(row);

function show() {
  const rows = [...feed.rows.values()].filter(belongs).sort((a, b) => collator.compare(a.name, b.name) || a.id - b.id);
  const found = entrance.participants;
  people.show(rows, found, feed);
  wantStills(rows.filter((row) => !people.isPresent(row.id)).map((row) => row.id));
}

/** Pictures of those who are not in the meeting: their own page still sends one a second, if it is there. */
let wanted = "";
function wantStills(ids) {
  const mark = ids.join();
  if (mark !== wanted && feed.send({ t: "stills", connections: ids })) wanted = mark;
}

/** What this page finds is proof for everybody: the server hears it once a second. */
function report() {
  const found = entrance.participants;
  if (!found) return;
  const participants = found
    .filter((one) => one.identity)
    .map(({ identity, video, moderator }) => ({ identity: String(identity).slice(0, 64), video, moderator }));
  feed.send({ t: "seen", room: page.roomNumber, participants });
}

const told = new Map();
/** Said aloud once: somebody newly has a problem. */
function speak(ids) {
  for (const id of ids) {
    const row = feed.rows.get(id);
    if (!row || !belongs(row)) continue;
    const cause = row.severity === "problem" ? row.cause : null;
    if (cause && told.get(id) !== cause) say(announce, `${row.name}: ${sentenceOf(row)}`);
    told.set(id, cause);
  }
}

// --- what a proctor does in there ---

function pin(session) {
  entrance.meeting?.pin(session);
}

function mute(session) {
  entrance.meeting?.mute(session);
}

async function remove(session, name) {
  const dialog = find("ask");
  say(find("ask-text"), t("meeting.remove_confirm", { name }));
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  if (dialog.returnValue === "yes") entrance.meeting?.remove(session);
}

find("meeting-tools").addEventListener("click", ({ target }) => {
  const deed = target.closest("[data-do]")?.dataset.do;
  if (deed === "tiles") entrance.meeting?.tiles();
  if (deed === "mute_all") entrance.meeting?.muteAll();
  if (deed === "again") entrance.ask();
});

// --- life ---

feed.on("snapshot", () => {
  wanted = "";
  if (!entrance.meeting) entrance.ask();
  show();
  showTabs(tabs, feed.rooms, page.roomNumber);
});
feed.on("change", ({ rows, rooms }) => {
  show();
  speak(rows);
  if (rooms) showTabs(tabs, feed.rooms, page.roomNumber);
});
feed.on("meeting", (message) => entrance.ticket(message));
feed.on("no_meeting", (message) => entrance.noTicket(message));
feed.on("still", ({ id, jpeg }) => people.still(id, jpeg));
setInterval(report, SAY_EVERY);
setInterval(() => people.refresh(), 1_000);
addEventListener("pagehide", () => entrance.meeting?.leave());

if (page.meetingFrame) find("do=tiles").hidden = true; // the gallery is Zoom's own view
entrance.become("waiting");
feed.start();
window.invigilo = { feed, entrance, people };
