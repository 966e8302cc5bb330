// The keys of everything that speaks; `keys.js` knows when they count, and explains them.

import { bind } from "./keys.js";
import { t } from "./page.js";

/** By key: what it presses in the bar, and the text that explains it. */
const CALL_KEYS = {
  b: { press: "audio", text: "call.key.audio" },
  v: { press: "video", text: "call.key.video" },
  c: { press: "chat", text: "call.key.chat" },
  w: { press: "messages", text: "call.key.messages" },
  t: { press: "town_hall", text: "call.key.town_hall" },
};

/** Those of the buttons that this page's bar has. */
export function listenToKeys(bar, press) {
  const here = Object.entries(CALL_KEYS).filter(([, one]) => bar.querySelector(`[data-call="${one.press}"]`));
  bind(Object.fromEntries(here.map(([key, one]) => [key, [t(one.text), () => press(one.press)]])));
}
