// What every live page needs: its data, its texts, small builders of elements.

import { timeZone } from "./time_zone.js";

const element = document.getElementById("page-data");
export const page = element ? JSON.parse(element.textContent) : { texts: {}, language: "en" };

export function t(key, values = {}) {
  const text = page.texts[`proctor.${key}`] ?? page.texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (hole, name) => (name in values ? values[name] : hole));
}

/** An element with properties, attributes (`data-…`, `aria-…`, …) and children; text is always text, never markup. */
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("focusable", "false");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${document.body.dataset.icons}#${name}`);
  svg.append(use);
  return svg;
}

/** Replace text only when it differs: an untouched node costs no layout. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** The children of a list, in this order: only what moved is moved, so focus, hover and a press just begun survive. */
export function arrange(list, items) {
  items.forEach((item, index) => {
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
  while (list.childElementCount > items.length) list.lastElementChild.remove();
}

export function set(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

const clock = new Intl.DateTimeFormat(page.language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone });
export const timeOfDay = (ms) => clock.format(ms);

export function age(ms, now) {
  if (ms === null || ms === undefined) return t("age.never");
  const seconds = Math.max(0, Math.round((now - ms) / 1000));
  if (seconds < 1) return t("age.now");
  if (seconds < 100) return t("age.seconds", { n: seconds });
  if (seconds < 6000) return t("age.minutes", { n: Math.round(seconds / 60) });
  return t("age.hours", { n: Math.round(seconds / 3600) });
}

function csrfToken() {
  const found = document.cookie.split("; ").find((one) => one.startsWith("csrftoken="));
  return found ? found.slice("csrftoken=".length) : "";
}

/** Do a deed at the server, and return its answer. Throws an Error whose message is the server's own sentence, with its `code`. */
export async function post(path, body) {
  return ask("POST", path, body);
}

/** The same by any method. */
export async function ask(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: {
      "x-csrftoken": csrfToken(),
      accept: "application/json",
      ...(body ? { "content-type": "application/json" } : {}),
    },
    body: body ? JSON.stringify(body) : undefined,
  });
  return answerOf(response);
}

/** Read something from the server; the same errors. */
export async function load(path) {
  return answerOf(await fetch(path, { headers: { accept: "application/json" } }));
}

async function answerOf(response) {
  let answer = null;
  try {
    answer = await response.json();
  } catch {
    // not JSON: a proxy's page; the status must do
  }
  if (response.ok) return answer;
  throw Object.assign(new Error(answer?.message ?? String(response.status)), { code: answer?.code, status: response.status });
}
