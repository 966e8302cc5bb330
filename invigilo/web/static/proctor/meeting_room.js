// A room's window where the room is a service's meeting: its frame, and beside it everybody who should be in there.

import { enter, originOf } from "../meeting/meeting.js";
import { Calls } from "./calls.js";
import { Desk } from "./desk.js";
import { Duties, look } from "./duty.js";
import { Feed } from "./feed.js";
import { Flags } from "./flag.js";
import { bind } from "./keys.js";
import { PeopleList } from "./meeting_people.js";
import { MeetingDevices } from "./meeting_voice.js";
import { page, say, t } from "./page.js";
import { belongsHere, isCallWindow, placeOf, roomHere, titleOf } from "./places.js";
import { showTabs } from "./room_list.js";
import { isGone, sentenceOf } from "./status.js";
import { Voice } from "./voice.js";

const SAY_EVERY = 1_000; // ms between two reports of whom this page finds in the meeting
const ANSWER_WITHIN = 8_000;
const FIRST_PAUSE = 2_000;
const LONGEST_PAUSE = 30_000;
const TONES = { joining: "info", joined: "ok", waiting: "info", lost: "warning", kicked: "warning" };

const find = (name) => document.querySelector(`[data-${name}]`);
const feed = new Feed();
const tabs = find("room-tabs");
const announce = find("announce");
const flags = new Flags(feed);
const desk = new Desk(feed);
new Duties(feed);
look(feed, "room", () => roomHere(feed));

/** Keys act on the person in the list who has the focus. */
function onHere(run) {
  return () => {
    const row = feed.rows.get(Number(document.activeElement?.closest(".member")?.dataset.id));
    if (row) run(row);
    else say(announce, t("keys.choose_first"));
  };
}

bind({
  f: [t("keys.flag"), onHere((row) => flags.flag(row))],
  n: [t("keys.note"), onHere((row) => flags.edit(row))],
  s: [t("keys.settle"), onHere((row) => desk.act("settle", [row.id]))],
  l: [t("keys.lock"), onHere((row) => desk.act("lock", [row.id]))],
  u: [t("keys.unlock"), onHere((row) => desk.act("unlock", [row.id]))],
  q: [t("keys.quit"), onHere((row) => desk.act("quit", [row.id]))],
});

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
    const here = roomHere(feed);
    if (!here) return this.become("gone");
    if (feed.send({ t: "enter", room: here.id, trouble: this.trouble })) this.become(this.state === "waiting" ? "joining" : this.state);
    this.timer = setTimeout(() => this.ask(), ANSWER_WITHIN);
  }

  ticket(message) {
    if (this.meeting) return;
    clearTimeout(this.timer);
    if (originOf(message) !== page.meetingOrigin) return location.reload(); // the service moved: this page may not use the new one
    const alone = roomHere(feed)?.connections?.length === 1;
    const wishes = { role: "proctor", language: page.language, title: t("meeting.frame"), frame: page.meetingFrame, alone };
    const mine = enter(message, find("meeting-frame"), wishes, {
      state: (state, detail) => mine === this.meeting && this.heard(state, detail),
      change: () => mine === this.meeting && show(),
      own: (media, isOn, failed) => mine === this.meeting && devices.heard(media, isOn, failed),
      chat: ({ from, text }) => from && calls.panel.heard({ name: from.name, at: feed.now(), text }),
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
    if (state === "joined") {
      this.pause = FIRST_PAUSE;
      devices.again();
    }
    if (state === "joining" || state === "joined") return;
    this.meeting = null;
    this.said(null);
    show();
    if (state !== "kicked") this.later();
  }

  said(participants) {
    const here = roomHere(feed);
    if (here) feed.send({ t: "seen", room: here.id, participants, host: participants !== null && this.note === "" });
  }

  leave() {
    clearTimeout(this.timer);
    this.meeting?.leave();
    this.meeting = null;
    this.become("gone");
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
    calls.show();
    find("do=again").hidden = state === "joining" || (state === "joined" && this.note === ""); // a guest may hold it later
    this.showTools();
  }

  /** What needs a moderator waits until the meeting has made us one: asked for earlier it would be lost. */
  showTools() {
    for (const button of document.querySelectorAll('[data-do="tiles"], [data-do="mute_all"]')) {
      button.disabled = this.state !== "joined" || (button.dataset.do === "mute_all" && !(this.moderates && this.note === ""));
    }
  }

  get moderates() {
    return this.state === "joined" && this.meeting?.isModerator === true;
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
const devices = new MeetingDevices(entrance);
const voice = new Voice(feed, devices, () => roomHere(feed)?.id ?? null);
const calls = new Calls(feed, { voice, heardBy, whyNot });
const people = new PeopleList({ may: () => entrance.note === "", moderates: () => entrance.moderates, pin, mute, remove, flag: (row) => flags.flag(row), calls });

/** Nobody is live who is not in the meeting; and in focus mode candidates see its host alone, so a guest would be shown to nobody. */
function whyNot(wish) {
  if (!["audio", "video"].includes(wish) || voice.wish[wish]) return "";
  if (entrance.state !== "joined") return t("call.not_in_meeting");
  return wish === "video" && page.meetingFrame && entrance.note ? t("call.guest_unseen") : "";
}

/** Heard by whom this page finds in the meeting, as far as the server lets them hear. */
function heardBy() {
  const here = roomHere(feed);
  const members = [...feed.rows.values()].filter((row) => here && placeOf(row) === here.id && !isGone(row));
  return { n: members.filter((row) => row.hears?.audio && people.isPresent(row.id)).length, all: members.length };
}

// --- who should be there, and who is ---

const collator = new Intl.Collator(page.language, { numeric: true, sensitivity: "base" });
const belongs = (row) => belongsHere(row) && !isGone(row);

function show() {
  const rows = [...feed.rows.values()].filter(belongs).sort((a, b) => collator.compare(a.name, b.name) || a.id - b.id);
  const found = entrance.participants;
  people.show(rows, found, feed);
  entrance.showTools();
  showHere();
  wantStills(rows.filter((row) => !people.isPresent(row.id)).map((row) => row.id));
}

/** A call that is over says so, and leaves its meeting. */
function showHere() {
  if (!isCallWindow || !feed.exam) return;
  const here = roomHere(feed);
  if (here) say(find("here"), titleOf(here, feed.rows));
  const isOver = !here || here.state === "closed" || here.state === "closing";
  find("call-gone").hidden = !isOver;
  find("meeting-room").hidden = isOver;
  if (!isOver || entrance.state === "gone") return;
  if (voice.isOn) voice.end();
  entrance.leave();
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
  entrance.said(participants);
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
  showTabs(tabs, feed, roomHere(feed));
});
feed.on("change", ({ rows, rooms }) => {
  show();
  speak(rows);
  if (rooms) showTabs(tabs, feed, roomHere(feed));
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
for (const button of document.querySelectorAll("[data-close-window]")) button.addEventListener("click", () => window.close());
window.invigilo = { feed, entrance, people, voice };
