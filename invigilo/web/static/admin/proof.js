// Testing a meeting service: each step is shown as soon as it is known.

import { join } from "./join.js";
import { csrfToken } from "./send.js";

const moment = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });

/**
 * Run the test behind `url` and show its steps in `proof`; resolves to `{outcome, entered}`: "ok", "failed" or "broken", and when
 * somebody was last in a meeting with what only that proves.
 */
export async function runTest(url, proof) {
  const list = proof.querySelector(".proof-steps");
  const word = proof.querySelector(".proof-word");
  list.replaceChildren();
  word.textContent = proof.dataset.running;
  proof.setAttribute("aria-busy", "true");
  let outcome = "broken";
  let problem = "";
  let end = null;
  try {
    const response = await fetch(url, { method: "POST", headers: { accept: "application/x-ndjson, application/json", "x-csrftoken": csrfToken() } });
    if (response.ok) {
      for await (const line of linesOf(response)) {
        if (line.done) end = line;
        else list.append(stepOf(line, proof));
      }
      if (end?.join) end = { ...end, ...(await joined(end.join, list, proof)) };
      if (end) {
        outcome = end.done;
        word.textContent = `${proof.dataset[outcome]} ${end.at ? moment.format(new Date(end.at)) : ""} ${end.message ?? ""}`;
        showEntry(proof, end.entered);
      }
    } else problem = (await response.json()).message ?? "";
  } catch (error) {
    console.warn("test ended early", error);
  }
  if (outcome === "broken") word.textContent = problem || proof.dataset.broken;
  proof.removeAttribute("aria-busy");
  return { outcome, entered: end?.entered ?? null };
}

/** What only a browser can prove: the steps it answers take the places of those that could not. Null when nothing came of it. */
async function joined(way, list, proof) {
  const last = await join(way, proof.querySelector(".proof-join"));
  for (const step of last?.steps ?? []) list.querySelector(`[data-step="${step.step}"]`)?.replaceWith(stepOf(step, proof));
  return last;
}

/** When somebody was last in a meeting with what only that proves; null: never. */
export function showEntry(proof, at) {
  const line = proof.querySelector(".proof-entry");
  if (!line) return;
  line.hidden = false;
  line.textContent = at ? `${line.dataset.last} ${moment.format(new Date(at))}` : line.dataset.never;
}

async function* linesOf(response) {
  let rest = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const lines = (rest + part.value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

function stepOf(step, proof) {
  const item = document.createElement("li");
  item.className = "proof-step";
  item.dataset.step = step.step;
  item.dataset.outcome = step.outcome;
  item.append(proof.querySelector(`template[data-icon="${step.outcome}"]`).content.cloneNode(true));
  const words = item.appendChild(document.createElement("div"));
  const title = add(words, "proof-title", step.title);
  if (step.number) {
    const number = document.createElement("span");
    number.className = "muted";
    number.textContent = step.number;
    title.append(" ", number);
  }
  if (step.cause) add(words, "", step.cause);
  if (step.remedy && step.remedy !== step.cause) add(words, "proof-remedy", step.remedy);
  return item;
}

function add(parent, kind, text) {
  const line = parent.appendChild(document.createElement("p"));
  line.className = kind;
  line.textContent = text;
  return line;
}

for (const form of document.querySelectorAll("form[data-test]")) {
  const proof = document.getElementById(form.dataset.test);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    const { outcome } = await runTest(form.action, proof);
    button.disabled = false;
    const badge = document.querySelector(".page-head .proof-badge");
    const fresh = proof.querySelector(`template[data-badge="${outcome}"]`);
    if (fresh) badge?.replaceWith(fresh.content.cloneNode(true));
  });
}
