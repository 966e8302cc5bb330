// Days are meant in the reader's zone: the server learns it from here.
import { zoneInUse } from "../proctor/time_zone.js";

for (const input of document.querySelectorAll("[data-zone]")) input.value = zoneInUse;
for (const link of document.querySelectorAll("[data-with-zone]")) {
  const address = new URL(link.href);
  address.searchParams.set("zone", zoneInUse);
  link.href = address.href;
}
