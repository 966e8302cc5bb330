// What the server put into the page: addresses and the texts of the page's language.

export const pageData = JSON.parse(document.getElementById("page-data").textContent);

/** The text of a key with its `{holes}` filled; the key itself when there is no text. */
export function t(key, values = {}) {
  const raw = pageData.messages[key] || key;
  return raw.replace(/\{(\w+)\}/g, (hole, name) => (name in values ? String(values[name]) : hole));
}

export function hasText(key) {
  return key in pageData.messages;
}
