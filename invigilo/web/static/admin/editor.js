// The settings editor: what is typed is saved, what follows from it is shown at once, and what others do is told.
// All rules are the server's; this shows its answers.

import { follow, lock, show, valueOf } from "./editor_controls.js";
import { Saver } from "./editor_saver.js";
import { act, cellAt, summarise } from "./editor_tables.js";
import { Tabs } from "./editor_tabs.js";

const ASK = 4000; // ms between questions for what others did
const NOTE = 15000; // ms that the note about others stays; what they changed stays marked at the settings
const SEARCH = 150; // ms after the last key

const data = JSON.parse(document.getElementById("editor-data").textContent);
const address = `/configurations/${data.id}`;
const find = (selector) => document.querySelector(selector);
const panel = find("[data-panel]");
const conflicts = new Map(); // setting → { actor, shown, mine }: both values are kept until somebody chooses
let findings = [...document.querySelectorAll("[data-findings-list] a")].map((link) => ({ path: link.dataset.to, tab: link.dataset.tab, severity: link.className.slice(3), text: link.lastElementChild.textContent, label: link.firstElementChild.textContent }));
let locks = null;
let version = data.version;
let noteTimer = 0;

document.documentElement.classList.add("has-script");

function t(key, values = {}) {
  const text = data.texts[`configuration.live.${key}`] ?? key;
  return text.replace(/\{(\w+)\}/g, (hole, name) => (name in values ? values[name] : hole));
}

function say(text) {
  find("[data-announce]").textContent = text;
}

const settingOf = (id) => document.getElementById(`s-${id}`);

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${document.body.dataset.icons}#${name}`);
  svg.append(use);
  return svg;
}

function message(kind, symbol, text) {
  const line = document.createElement("p");
  line.className = `message is-${kind}`;
  const words = document.createElement("span");
  words.textContent = text;
  line.append(icon(symbol), words);
  return line;
}

// --- saving ---

const saver = new Saver(`${address}/changes`, data.revision, {
  state: (state, sent) => apply(state, { own: new Set(sent.keys()) }),
  conflict(found, sent, state) {
    for (const one of found) conflicts.set(one.id, { ...one, mine: sent.get(one.id) });
    apply(state, { own: new Set(conflicts.keys()) });
    say(found.map((one) => `${one.label}: ${t("conflict_plain", one)}`).join(" "));
  },
  wrong(id, text) {
    const setting = settingOf(id);
    if (!setting) return;
    const line = message("error", "problem", text);
    line.dataset.problem = "";
    messagesOf(setting).querySelector("[data-problem]")?.remove();
    messagesOf(setting).prepend(line);
    say(`${setting.dataset.label}: ${text}`);
  },
  phase(word, n) {
    const saved = find("[data-saved]");
    saved.dataset.saved = { saved: "saved", saving: "saving" }[word] ?? "problem";
    find("[data-saved-word]").textContent = t(word, { n });
  },
});

addEventListener("beforeunload", (event) => {
  if (!saver.isQuiet || saver.unsaved.size) event.preventDefault();
});

for (const form of document.querySelectorAll("[data-needs-save]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!(await saver.settled()) || saver.unsaved.size) return; // the bar says why
    form.querySelector("[name=revision]").value = saver.revision;
    form.querySelector("[name=tab]").value = tabs.current;
    form.submit();
  });
}

// --- what the server says ---

function messagesOf(element) {
  return [...element.querySelectorAll("[data-messages]")].find((one) => one.closest("[data-cell], [data-setting]") === element);
}

/** Show the new state: the bar, locks, marks and findings, and values that are not this person's own doing. */
function apply(state, { own = new Set() } = {}) {
  findings = state.findings;
  version = state.version;
  find("[data-status]").textContent = state.status;
  find("[data-compare]").hidden = !state.differs;
  const undo = find("[data-undo]");
  if (undo) undo.hidden = !state.differs;
  showFindings(state);
  for (const link of document.querySelectorAll("[data-tabs] [data-tab]")) {
    const mark = state.tabs[link.dataset.tab];
    if (mark) link.dataset.mark = mark;
    else delete link.dataset.mark;
  }
  for (const [id, value] of Object.entries(state.values)) {
    const setting = settingOf(id);
    if (!setting || conflicts.has(id) || saver.changes.has(id)) continue;
    const isTyping = own.has(id) && setting.contains(document.activeElement) && !["check", "radio", "choice", "password"].includes(setting.dataset.kind);
    if (!isTyping) show(setting, value);
    if (own.has(id) && setting.dataset.kind === "password") setting.querySelector("[data-control]").value = "";
  }
  tell(state.locks);
  locks = state.locks;
  refresh(state.changed);
  const anew = state.reload.filter((id) => !own.has(id) && !conflicts.has(id) && settingOf(id));
  if (anew.length) showAnew(anew);
  if (state.others.length) showOthers(state.others);
}

function showFindings(state) {
  const pop = find("[data-findings]");
  pop.hidden = state.findings.length === 0;
  find("[data-summary]").textContent = state.summary;
  find("[data-findings-mark]").dataset.findingsMark = state.errors ? "error" : "warning";
  const items = state.findings.map((one) => {
    const link = document.createElement("a");
    link.href = `?tab=${one.tab || "general"}#s-${one.path.split("[")[0]}`;
    link.className = `is-${one.severity}`;
    link.dataset.tab = one.tab;
    link.dataset.to = one.path;
    const label = document.createElement("strong");
    label.textContent = one.label;
    const text = document.createElement("span");
    text.textContent = one.text;
    link.append(label, text);
    const item = document.createElement("li");
    item.append(link);
    return item;
  });
  find("[data-findings-list]").replaceChildren(...items);
}

/** Tell who cannot see it which controls of this tab were locked or freed. */
function tell(now) {
  if (locks === null) return;
  const words = [];
  for (const setting of panel.querySelectorAll("[data-setting]")) {
    const id = setting.dataset.setting;
    if (id in now !== id in locks) words.push(t(id in now ? "locked" : "free", { label: setting.dataset.label }));
  }
  if (words.length) say(words.slice(0, 4).join(" "));
}

/** Marks, locks and findings of the tab that is there. */
function refresh(changed) {
  const isChanged = changed && new Set(changed);
  const said = new Map(); // by frame: the reason that was said last, which is not repeated below it
  for (const setting of panel.querySelectorAll("[data-setting]")) {
    const id = setting.dataset.setting;
    const frame = setting.parentElement.parentElement;
    if (isChanged) {
      setting.classList.toggle("is-changed", isChanged.has(id));
      const mark = setting.querySelector(":scope > .setting-line > .marks > :is(.reset, .changed-mark), :scope > .marks > :is(.reset, .changed-mark)");
      if (mark) mark.hidden = !isChanged.has(id) || (locks !== null && id in locks);
    }
    if (locks !== null && data.mayChange) lock(setting, id in locks);
    showMessages(setting, id);
    const reason = messagesOf(setting)?.querySelector(".is-lock");
    reason?.classList.toggle("is-said", said.get(frame) === reason.textContent);
    said.set(frame, reason?.textContent);
  }
}

function showMessages(setting, id) {
  const place = messagesOf(setting);
  if (!place) return;
  const lines = [];
  const problem = saver.unsaved.has(id) ? place.querySelector("[data-problem]") : null;
  if (problem) lines.push(problem);
  if (conflicts.has(id)) lines.push(choice(id, conflicts.get(id)));
  if (locks !== null && id in locks) lines.push(message("lock", "lock", locks[id]));
  else if (locks === null) lines.push(...place.querySelectorAll(".is-lock"));
  const other = place.querySelector(".is-other");
  if (other) lines.push(other);
  const isTable = setting.dataset.kind === "table";
  const invalid = new Set();
  for (const cell of isTable ? setting.querySelectorAll("[data-cell] > [data-messages]") : []) cell.replaceChildren();
  for (const one of findings) {
    const isHere = one.path === id || one.path.startsWith(`${id}[`);
    if (!isHere) continue;
    const line = message(one.severity, one.severity === "error" ? "problem" : "warning", one.text);
    const cell = isTable ? cellAt(setting, one.path) : null;
    if (!cell) {
      lines.push(line);
      continue;
    }
    messagesOf(cell)?.append(line);
    invalid.add(cell.querySelector("[data-control]"));
  }
  if (lines.length !== place.children.length || lines.some((line, n) => line.textContent !== place.children[n].textContent)) place.replaceChildren(...lines);
  for (const control of setting.querySelectorAll("[data-control]")) {
    const isWrong = isTable ? invalid.has(control) : place.querySelector(".is-error, .is-warning") !== null;
    if (isWrong) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }
}

/** Two people changed the same setting: both values are there, and one is chosen. */
function choice(id, conflict) {
  const text = conflict.shown ? t("conflict", conflict) : t("conflict_plain", conflict);
  const line = message("error", "people", text);
  line.classList.add("has-choice");
  const mine = document.createElement("button");
  mine.type = "button";
  mine.textContent = t("mine");
  mine.addEventListener("click", () => {
    conflicts.delete(id);
    if (conflict.mine === undefined) saver.reset(id);
    else saver.edit(id, conflict.mine, { soon: true });
    settingOf(id)?.focus();
  });
  const theirs = document.createElement("button");
  theirs.type = "button";
  theirs.textContent = t("theirs");
  theirs.addEventListener("click", async () => {
    conflicts.delete(id);
    saver.unsaved.delete(id);
    saver.say();
    await showAnew([id]);
    settingOf(id)?.focus();
  });
  line.append(mine, theirs);
  return line;
}

/** Take settings from the tab as the server shows it now. */
async function showAnew(ids) {
  const response = await fetch(`${address}/tabs/${tabs.current}`, { headers: { accept: "text/html" } });
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const id of ids) {
    const there = settingOf(id);
    const now = fresh.getElementById(`s-${id}`);
    if (there && now && !saver.isSaving(id)) there.replaceWith(document.adoptNode(now));
  }
  refresh();
}

function showOthers(others) {
  const byPerson = Map.groupBy ? Map.groupBy(others, (one) => one.actor) : others.reduce((all, one) => all.set(one.actor, [...(all.get(one.actor) ?? []), one]), new Map());
  const note = find("[data-others]");
  note.textContent = [...byPerson].map(([actor, changes]) => t("others", { actor, labels: changes.map((one) => one.label).join(", ") })).join(" ");
  note.hidden = false;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => { note.hidden = true; }, NOTE);
  for (const one of others) {
    const place = settingOf(one.id) && messagesOf(settingOf(one.id));
    if (!place || conflicts.has(one.id)) continue;
    place.querySelector(".is-other")?.remove();
    place.append(message("other", "people", t("conflict_plain", one)));
  }
}

// --- what this person does ---

function edited(setting, options) {
  const id = setting.dataset.setting;
  conflicts.delete(id);
  messagesOf(setting)?.querySelector(".is-other")?.remove();
  saver.edit(id, valueOf(setting), options);
}

panel.addEventListener("input", ({ target }) => {
  if (!data.mayChange) return;
  const setting = target.closest("[data-setting]");
  if (!setting) return;
  if ("colour" in target.dataset) setting.querySelector("[data-control]").value = target.value;
  const cell = target.closest("[data-cell]");
  if (cell) summarise(cell);
  else follow(setting);
  const isText = target.matches("input[type=text], input[type=range], input[type=color], textarea");
  if (isText) edited(setting);
});

panel.addEventListener("change", ({ target }) => {
  if (!data.mayChange) return;
  const setting = target.closest("[data-setting]");
  if (!setting) return;
  if ("remove" in target.dataset) {
    if (target.checked) saver.edit(setting.dataset.setting, "", { soon: true });
  } else if (target.type === "password") {
    if (target.value) edited(setting, { soon: true });
  } else if (target.matches("input[type=checkbox], input[type=radio], select")) {
    edited(setting, { soon: true });
  } else {
    saver.plan(0);
  }
});

panel.addEventListener("submit", (event) => event.preventDefault());
panel.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("input:not([type=checkbox], [type=radio])")) {
    event.preventDefault();
    if (event.target.type === "password" && event.target.value) edited(event.target.closest("[data-setting]"), { soon: true });
    else saver.plan(0);
  }
});

panel.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if ("reset" in button.dataset) {
    event.preventDefault();
    const setting = button.closest("[data-setting]");
    saver.reset(setting.dataset.setting);
    (setting.querySelector("[data-control]:checked") ?? setting.querySelector("[data-control]")).focus();
  } else if (act(button, { changed: (setting) => edited(setting, { soon: true }), say: (key, values) => say(t(key, values)) })) {
    event.preventDefault();
  }
});

// --- tabs, search, jumps ---

const tabs = new Tabs(find("[data-tabs]"), panel, address, {
  before: () => saver.settled(),
  shown() {
    const typed = [...conflicts].filter(([id]) => settingOf(id));
    for (const [id, conflict] of typed) {
      if (["string", "number"].includes(typeof conflict.mine)) show(settingOf(id), String(conflict.mine));
      if (typeof conflict.mine === "boolean") show(settingOf(id), conflict.mine);
    }
    refresh();
  },
});

/** Go to a setting, whatever tab it is on, and open what it is in. */
async function jump(tab, path) {
  if (tab) await tabs.open(tab);
  const id = path.startsWith("proxies.") ? path : path.split(/[[.]/)[0];
  const setting = settingOf(id);
  if (!setting) return;
  for (let around = setting.parentElement; around; around = around.parentElement) if (around.tagName === "DETAILS") around.open = true;
  const cell = cellAt(setting, path);
  const row = cell?.closest("details");
  if (row) row.open = true;
  const target = cell ?? setting;
  target.scrollIntoView({ block: "center" });
  (cell?.querySelector("[data-control]") ?? setting.querySelector("[data-control]:checked:not(:disabled), [data-control]:not(:disabled)") ?? setting).focus({ preventScroll: true });
  for (const one of document.querySelectorAll(".is-found")) one.classList.remove("is-found");
  setting.classList.add("is-found");
  setTimeout(() => setting.classList.remove("is-found"), 4000);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-to]");
  if (!link) return;
  event.preventDefault();
  for (const pop of document.querySelectorAll(".pop[open]")) pop.open = false;
  closeSearch();
  jump(link.dataset.tab, link.dataset.to);
});

const searchForm = find("[data-search]");
const hits = find("[data-hits]");
let searchTimer = 0;

function closeSearch() {
  hits.replaceChildren();
}

searchForm.addEventListener("submit", (event) => {
  event.preventDefault();
  hits.querySelector("[data-hit]")?.click();
});
searchForm.elements.q.addEventListener("input", ({ target }) => {
  clearTimeout(searchTimer);
  searchTimer = setTimeout(async () => {
    const q = target.value.trim();
    if (!q) return closeSearch();
    const response = await fetch(`${address}/search?q=${encodeURIComponent(q)}`, { headers: { accept: "text/html" } });
    if (response.ok && target.value.trim() === q) hits.innerHTML = await response.text();
  }, SEARCH);
});
find(".editor-side").addEventListener("keydown", (event) => {
  const links = [...hits.querySelectorAll("[data-hit]")];
  if (event.key === "Escape" && hits.childElementCount) {
    closeSearch();
    searchForm.elements.q.focus();
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !links.length || event.target.closest("[data-tabs]")) return;
  event.preventDefault();
  const place = links.indexOf(document.activeElement) + step;
  (place < 0 ? searchForm.elements.q : links[Math.min(place, links.length - 1)]).focus();
});
document.addEventListener("click", (event) => {
  if (!event.target.closest(".editor-side")) closeSearch();
  for (const pop of document.querySelectorAll(":is(.pop, .help)[open]")) if (!pop.contains(event.target)) pop.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const pop of document.querySelectorAll(":is(.pop, .help)[open]")) {
    pop.open = false;
    pop.querySelector("summary").focus();
  }
});

if (location.hash.startsWith("#s-")) jump("", decodeURIComponent(location.hash.slice(3)));

// --- others ---

async function ask() {
  if (document.visibilityState === "visible" && saver.isQuiet) {
    const asked = saver.revision;
    try {
      const response = await fetch(`${address}/state?since=${asked}&version=${version ?? 0}`, { headers: { accept: "application/json" } });
      const state = response.status === 200 ? await response.json() : null;
      if (state && saver.isQuiet && saver.revision === asked) {
        saver.revision = state.revision;
        apply(state);
      }
    } catch {
      // not reachable now: saving will say so when there is something to save
    }
  }
  setTimeout(ask, ASK);
}
setTimeout(ask, ASK);
