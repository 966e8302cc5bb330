// From a row to words, shapes and tones: the same on every page.

import { arrange, icon, make, page, post, set, t } from "./page.js";

const TONES = {
  seb: { ok: "ok", missing: "problem", closed: "none" },
  joined: { ok: "ok", waiting: "info", left: "problem", none: "none" },
  frames: { ok: "ok", stills: "warning", black: "warning", frozen: "warning", none: "none" },
};
export const FACTS = ["seb", "joined", "frames"];

/** A fact that is missing is as bad as the cause behind it: "none" of somebody who has left is no problem. */
export function toneOf(row, fact) {
  const tone = TONES[fact][row[fact]] ?? "none";
  const isExpected = row.seb !== "closed" && (row.severity === "problem" || row.severity === "warning");
  return tone === "none" && fact !== "seb" && isExpected ? row.severity : tone;
}

const SHAPES = { ok: "ok", info: "info", warning: "warning", problem: "problem", none: "none" };

export function factElement() {
  const word = make("span", { className: "word" });
  const fact = make("span", { className: "fact" }, icon("none"), word);
  fact.use = fact.querySelector("use");
  fact.word = word;
  return fact;
}

export function showFact(element, row, fact) {
  const tone = toneOf(row, fact);
  const text = t(`fact.${fact}.${row[fact]}`);
  if (element.dataset.tone !== tone) {
    element.dataset.tone = tone;
    element.use.setAttribute("href", `${document.body.dataset.icons}#${SHAPES[tone]}`);
  }
  if (element.word.textContent !== text) {
    element.word.textContent = text;
    set(element, "title", `${t(`column.${fact}`)}: ${text}`);
  }
}

export const sentenceOf = (row) => (row.cause ? t(`cause.${row.cause}.sentence`) : "");
export const nextStepOf = (row) => (row.cause ? t(`cause.${row.cause}.next`) : "");
export const isGone = (row) => row.state === "closed" || row.state === "disabled";
export const hasHand = (row) => row.notifications.some((one) => one.kind === "raisehand");
export const isSeen = (row) => row.frames === "ok" || row.frames === "stills";

const markOf = ({ number, kind, at }) => `${number} ${kind} ${at}`; // the same number may be raised again

/** "Hand up – Settle": one button per open notification. */
export function notificationButton(row, notification) {
  const isHand = notification.kind === "raisehand";
  const button = make(
    "button",
    {
      type: "button",
      className: "settle",
      "data-of": markOf(notification),
      "aria-label": t(isHand ? "hand.settle_of" : "lockscreen.settle_of", { name: row.name }),
      title: notification.text || t(isHand ? "hand" : "lockscreen"),
    },
    icon(isHand ? "hand" : "lock"),
    t(isHand ? "hand.settle" : "lockscreen.settle"),
  );
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    event.stopPropagation();
    button.disabled = true;
    try {
      await post(`${page.base}/connections/${row.id}/notifications/${notification.number}/confirm`);
    } catch (error) {
      button.disabled = false;
      button.title = t("connection.failed", { message: error.message });
    }
  });
  return button;
}

/** Those that stay keep their buttons, so focus, hover and a press just begun survive. */
export function showNotifications(container, row) {
  const mark = row.notifications.map(markOf).join(",");
  if (container.dataset.mark === mark) return;
  container.dataset.mark = mark;
  const hadFocus = container.contains(document.activeElement);
  const known = new Map([...container.children].map((button) => [button.dataset.of, button]));
  arrange(container, row.notifications.map((one) => known.get(markOf(one)) ?? notificationButton(row, one)));
  // Whoever settled by keyboard goes on from the same candidate, not from the top of the page.
  if (hadFocus && !container.contains(document.activeElement)) (container.querySelector("button") ?? container.closest("[data-id]")?.querySelector("a, button"))?.focus();
}

export function clientLine(row) {
  const version = row.seb_version ? `SEB ${row.seb_version}` : "";
  return [row.machine, version, shortSystem(row.os)].filter(Boolean).join(" · ");
}

function shortSystem(os) {
  return (os ?? "").split(",")[0].replace(/ ?\(.*\)$/, "").replace("Version ", "");
}
