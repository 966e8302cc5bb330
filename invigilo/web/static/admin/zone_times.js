// Times in the zone of what they belong to, said in the reader's language. Without script the page shows them plainly.

for (const time of document.querySelectorAll("time[data-zone]")) {
  const format = new Intl.DateTimeFormat(document.documentElement.lang, {
    dateStyle: "medium",
    timeStyle: "short",
    timeZone: time.dataset.zone,
  });
  const at = new Date(Number(time.dataset.at));
  time.dateTime = at.toISOString();
  time.textContent = format.format(at);
}
