// The keys of everything that speaks; one list for whoever explains them.

/** By key: what it presses in the bar, and the text that explains it. */
export const CALL_KEYS = {
  s: { press: "audio", text: "call.key.audio" },
  v: { press: "video", text: "call.key.video" },
  c: { press: "chat", text: "call.key.chat" },
  m: { press: "messages", text: "call.key.messages" },
  t: { press: "town_hall", text: "call.key.town_hall" },
};

const TYPES_INTO = "input, textarea, select, [contenteditable], dialog";

export function listenToKeys(press) {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.closest(TYPES_INTO)) return;
    const found = CALL_KEYS[event.key];
    if (!found) return;
    event.preventDefault();
    press(found.press);
  });
}
