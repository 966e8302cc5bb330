// The zone times are shown in. A name this browser does not know counts as the browser's own.

function known(zone) {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: zone }).resolvedOptions().timeZone;
  } catch {
    return undefined;
  }
}

const asked = document.body.dataset.timeZone;
export const timeZone = !asked || asked === "auto" ? undefined : known(asked);
export const zoneInUse = timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
