// Until when the candidate's own time goes, in the exam's zone: extra time may be known only once the LMS says who this is.

import { pageData, t } from "./texts.js";

export function showOwnEnd(element, ms, zone) {
  element.hidden = ms === null;
  if (element.hidden) return;
  const format = new Intl.DateTimeFormat(pageData.language, { dateStyle: "medium", timeStyle: "short", timeZone: zone });
  element.textContent = t("candidate.own_end", { time: format.format(new Date(ms)), zone });
}
