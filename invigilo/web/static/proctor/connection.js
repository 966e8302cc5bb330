// One connection: its picture, the three facts, what SEB says of itself, deeds, and its events.

import { Calls } from "./calls.js";
import { Desk, showDeed } from "./desk.js";
import { look } from "./duty.js";
import { Feed } from "./feed.js";
import { Flags, showFlag } from "./flag.js";
import { INDICATORS, valueOf } from "./heat_map.js";
import { bind } from "./keys.js";
import { StoryList } from "./story.js";
import { age, icon, make, page, post, say, set, t, timeOfDay } from "./page.js";
import { FACTS, factElement, nextStepOf, notificationButton, sentenceOf, showFact, toneOf } from "./status.js";
import { Tile } from "./tile.js";
import { Watches } from "./watch.js";

const feed = new Feed();
const desk = new Desk(feed);
const flags = new Flags(feed, () => story.refresh());
const watches = new Watches(feed);
new Calls(feed);
look(feed, "connection");
const id = page.connectionId;
const find = (name) => document.querySelector(`[data-${name}]`);
let row = page.row;

let heard = false;
const tile = new Tile(id, {
  watches,
  details: false,
  sound: (one) => {
    heard = !heard;
    one.hear(heard);
  },
});
find("picture").append(tile.root);

// --- facts ---

const facts = FACTS.map((fact) => {
  const element = factElement();
  const proof = make("small");
  const item = make("li", {}, make("span", {}, t(`connection.fact.${fact}`)), element, proof);
  find("facts").append(item);
  return { fact, element, proof, item };
});

function showAges() {
  const now = feed.now();
  for (const { fact, proof } of facts) {
    const at = fact === "seb" ? (row.last_ping ?? row.seb_at) : row[`${fact}_at`];
    const isFresh = fact !== "seb" && row[fact] === "ok";
    const isNow = at && (isFresh || now - at < 1_500);
    say(proof, isNow ? t("connection.proved_now") : at ? t("connection.proved", { age: age(at, now) }) : t("connection.never_proved"));
  }
}

function show() {
  for (const node of document.querySelectorAll("[data-name]")) say(node, row.name);
  for (const { fact, element, item } of facts) {
    showFact(element, row, fact);
    item.dataset.tone = toneOf(row, fact);
  }
  const cause = find("cause");
  cause.dataset.severity = row.severity;
  const sentence = sentenceOf(row);
  if (cause.dataset.said !== sentence) {
    cause.dataset.said = sentence;
    cause.replaceChildren(...(sentence ? [make("strong", {}, sentence), make("span", {}, nextStepOf(row))] : []));
  }
  showOpen();
  showClient();
  showAges();
  tile.show(row);
  showDeed(find("deed-state"), row);
  find("flag").classList.toggle("has-incidents", row.incidents > 0);
  showFlag(find("flag"), row);
  find("unlock").disabled = !row.notifications.some((one) => one.kind === "lockscreen");
  find("deed=\"disable\"").disabled = row.state === "closed" || row.state === "disabled" || row.seb === "ok";
  find("deed=\"quit\"").disabled = row.state === "closed" || row.state === "disabled";
}

function showOpen() {
  const list = find("open");
  const mark = JSON.stringify(row.notifications);
  if (list.dataset.mark === mark) return;
  list.dataset.mark = mark;
  list.replaceChildren(
    ...row.notifications.map((one) =>
      make("li", {}, make("span", {}, one.text || t(one.kind === "raisehand" ? "hand" : "lockscreen")), notificationButton(row, one)),
    ),
  );
}

function ownEnd(ms) {
  return new Intl.DateTimeFormat(page.language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(ms));
}

function showClient() {
  const unknown = t("connection.unknown");
  const pairs = [
    ["connection.state", t(`state.${row.state}`)],
    ["connection.user", row.user || unknown],
    ...(row.group ? [["connection.group", row.group]] : []),
    ...(row.own_end ? [["connection.own_end", ownEnd(row.own_end)]] : []),
    ["column.room", row.room === null ? t("room.none") : t("room.number", { number: row.room })],
    ["connection.seb_version", row.seb_version || unknown],
    ["connection.system", row.os || unknown],
    ["connection.machine", row.machine || unknown],
    ...INDICATORS.filter((one) => one !== "ping").map((one) => [`connection.${one}`, valueOf(row, one, feed.now()), row.levels?.[one]]),
    ["connection.flags", row.flags.map((flag) => t(`flag.${flag}`)).join("; ")],
  ].filter(([, value]) => value !== "");
  const mark = JSON.stringify(pairs);
  const list = find("client");
  if (list.dataset.mark === mark) return;
  list.dataset.mark = mark;
  list.replaceChildren(...pairs.flatMap(([name, value, level]) => [make("dt", {}, t(name)), judged(value, level)]));
}

/** A value with the exam's judgement of it, in colour and in shape. */
function judged(value, level) {
  if (level !== "warning" && level !== "problem") return make("dd", {}, value);
  return make("dd", { "data-level": level }, icon(level), ` ${value} · ${t(`heat.level.${level}`)}`);
}

// --- deeds ---

const outcome = find("outcome");
const here = `${page.base}/connections/${id}`;

/** What became of it is told below as it goes on: waiting, delivered, done. */
async function act(deed, more = {}) {
  say(outcome, "");
  try {
    await post(`${page.base}/deeds`, { deed, connections: [id], ...(more.message ? more : {}) });
    say(outcome, t(deed === "disable" ? "connection.done" : "connection.sent"));
  } catch (error) {
    say(outcome, t("connection.failed", { message: error.message }));
  }
  story.refresh();
}

find("lock").addEventListener("submit", (event) => {
  event.preventDefault();
  act("lock", { message: event.target.elements.message.value.trim() });
});
for (const button of document.querySelectorAll("[data-deed]")) {
  button.addEventListener("click", async () => {
    const { deed } = button.dataset;
    if (await ask(t(`connection.${deed}_confirm`, { name: row.name }))) await act(deed);
  });
}
find("unlock").addEventListener("click", () => act("unlock"));
find("flag").addEventListener("click", () => flags.flag(row));
find("note").addEventListener("click", () => flags.edit(row));

function ask(text) {
  const dialog = find("ask");
  say(find("ask-text"), text);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

const story = new StoryList(find("story"), find("no-story"), (note) => flags.edit(row, note));

bind({
  f: [t("keys.flag"), () => flags.flag(row)],
  n: [t("keys.note"), () => flags.edit(row)],
  s: [t("keys.settle"), () => desk.act("settle", [id])],
  l: [t("keys.lock"), () => desk.act("lock", [id])],
  u: [t("keys.unlock"), () => desk.act("unlock", [id])],
  q: [t("keys.quit"), () => desk.act("quit", [id])],
  i: [t("keys.sound"), () => tile.sound.click()],
});

// --- events ---

const list = find("events");
const older = find("older");
const kinds = new Set([...document.querySelectorAll("[data-kind][aria-pressed]")].map((one) => one.dataset.kind));
const allKinds = kinds.size;
let newest = 0;
let oldest = null;
let loading = false;

async function load(query) {
  const types = kinds.size === allKinds ? "" : [...kinds, ...(kinds.has("NOTIFICATION") ? ["NOTIFICATION_CONFIRMED"] : [])].join(",");
  const response = await fetch(`${here}/events?${new URLSearchParams({ ...query, types })}`, { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(String(response.status));
  return response.json();
}

function item(event) {
  const words = [event.text, event.value === null || event.value === undefined ? "" : String(event.value)].filter(Boolean).join(" · ");
  const skew = event.client_time && Math.abs(event.client_time - event.time) > 60_000;
  return make(
    "li",
    { "data-kind": event.type },
    make("time", { title: skew ? t("event.client_clock", { time: timeOfDay(event.client_time) }) : null }, timeOfDay(event.time)),
    make("span", { className: "kind" }, t(`event.${event.type}`)),
    make("span", { className: "text" }, words),
  );
}

/** Newest first, as one reads in trouble. */
async function loadNewer() {
  if (loading || kinds.size === 0) return;
  loading = true;
  try {
    const { events, more } = newest ? await load({ after: newest }) : await load({ before: 10 ** 15 });
    for (const event of events) list.prepend(item(event));
    if (events.length) {
      oldest ??= events[0].id;
      newest = Math.max(newest, events.at(-1).id);
    }
    if (newest === 0 || oldest === events[0]?.id) older.hidden = !more;
    find("no-events").hidden = list.childElementCount > 0;
  } catch {
    // the stream's banner already says that the server is away
  } finally {
    loading = false;
  }
}

older.addEventListener("click", async () => {
  const { events, more } = await load({ before: oldest });
  for (const event of events.reverse()) list.append(item(event));
  if (events.length) oldest = events.at(-1).id;
  older.hidden = !more;
});

for (const button of document.querySelectorAll("[data-kind][aria-pressed]")) {
  button.addEventListener("click", () => {
    const { kind } = button.dataset;
    const isOn = kinds.has(kind);
    if (isOn) kinds.delete(kind);
    else kinds.add(kind);
    set(button, "aria-pressed", String(!isOn));
    newest = 0;
    oldest = null;
    older.hidden = true;
    list.replaceChildren();
    loadNewer();
  });
}

// --- life ---

function take() {
  const found = feed.rows.get(id);
  if (found) row = found;
  show();
}
let stills = null;
function wantStills() {
  const wanted = tile.isLive ? "" : String(id);
  if (stills !== wanted && feed.send({ t: "stills", connections: tile.isLive ? [] : [id] })) stills = wanted;
}
tile.onLive = wantStills;
feed.on("snapshot", () => {
  stills = null;
  wantStills();
  take();
});
feed.on("change", ({ rows }) => rows.includes(id) && take());
feed.on("still", (one) => one.id === id && tile.still(one.jpeg));
setInterval(() => {
  showAges();
  tile.refresh();
  tile.measure();
  if (!document.hidden) loadNewer();
}, 1_000);
setInterval(() => !document.hidden && story.refresh(), 5_000);
story.refresh();

show();
loadNewer();
feed.start();
window.invigilo = { feed, watches };
