// One key for every frequent act, listed in a dialog behind "?". Off where letters are typed, and where one switches them off.

import { make, t } from "./page.js";

const STORED = "invigilo.keys";
const find = (name) => document.querySelector(`[data-${name}]`);
const dialog = find("keys-dialog");
const list = find("keys-list");
const isOn = find("keys-on");

const acts = new Map();

function stored() {
  try {
    return localStorage.getItem(STORED) !== "off";
  } catch {
    return true; // no storage: then every page begins with keys
  }
}

isOn.checked = stored();
isOn.addEventListener("change", () => {
  try {
    localStorage.setItem(STORED, isOn.checked ? "on" : "off");
  } catch {
    // it holds for this page, then
  }
});

/** `{key: [text of what it does, function]}`; a key is what `KeyboardEvent.key` says. */
export function bind(keys) {
  for (const [key, [text, run]] of Object.entries(keys)) acts.set(key, { text, run });
}

const SHOWN = { Escape: "Esc", ArrowRight: "→", ArrowLeft: "←" };

export function showHelp() {
  list.replaceChildren(
    ...[...acts].flatMap(([key, { text }]) => [make("dt", {}, make("kbd", {}, SHOWN[key] ?? key)), make("dd", {}, text)]),
  );
  dialog.showModal();
}

function isTyping(target) {
  if (target.isContentEditable || target.tagName === "TEXTAREA" || target.tagName === "SELECT") return true;
  return target.tagName === "INPUT" && !["checkbox", "radio", "button", "range"].includes(target.type);
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  if (event.key === "?") {
    event.preventDefault();
    return showHelp();
  }
  const act = isOn.checked ? acts.get(event.key) : undefined;
  if (!act) return;
  event.preventDefault();
  act.run(event);
});

for (const button of document.querySelectorAll("[data-keys-help]")) button.addEventListener("click", showHelp);
