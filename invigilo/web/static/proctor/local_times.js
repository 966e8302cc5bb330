// Times in the reader's zone: the one of the account, or the browser's own, which the server does not know.
import { timeZone } from "./time_zone.js";

const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short", timeZone });
for (const range of document.querySelectorAll("time[data-from]")) {
  range.textContent = format.formatRange(Number(range.dataset.from), Number(range.dataset.until));
}
for (const time of document.querySelectorAll("time[data-ms]")) {
  const at = new Date(Number(time.dataset.ms));
  time.dateTime = at.toISOString();
  time.textContent = format.format(at);
}
