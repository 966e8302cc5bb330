// Times of a record, to the second, in the reader's zone.
import { timeZone } from "../proctor/time_zone.js";

const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium", timeZone });
for (const time of document.querySelectorAll("time[data-exact]")) {
  const at = new Date(Number(time.dataset.exact));
  time.dateTime = at.toISOString();
  time.textContent = format.format(at);
}
