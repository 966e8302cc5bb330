// The tabs of the settings editor: one is there at a time, fetched when it is asked for. Arrow keys move between them.

export class Tabs {
  /** `before` is awaited before the panel changes; `shown` is called when a tab is there. */
  constructor(list, panel, address, { before, shown }) {
    this.list = list;
    this.panel = panel;
    this.address = address;
    this.before = before;
    this.shown = shown;
    this.links = [...list.querySelectorAll("[data-tab]")];
    this.wide = matchMedia("(min-width: 1000px)");
    list.setAttribute("role", "tablist");
    this.wide.addEventListener("change", () => this.turn());
    this.turn();
    panel.id = "tab-panel";
    panel.setAttribute("role", "tabpanel");
    panel.tabIndex = -1;
    this.current = this.links.find((one) => one.getAttribute("aria-current") === "page").dataset.tab;
    for (const link of this.links) {
      link.setAttribute("role", "tab");
      link.setAttribute("aria-controls", panel.id);
      link.removeAttribute("aria-current");
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        this.open(link.dataset.tab);
      });
      link.addEventListener("keydown", (event) => this.key(event, link));
    }
    this.mark();
    this.list.scrollLeft = this.links.find((one) => one.dataset.tab === this.current).offsetLeft - 60;
    addEventListener("popstate", () => {
      const asked = new URLSearchParams(location.search).get("tab") ?? this.links[0].dataset.tab;
      if (asked !== this.current) this.open(asked, { isBack: true });
    });
  }

  turn() {
    this.list.setAttribute("aria-orientation", this.wide.matches ? "vertical" : "horizontal");
  }

  mark() {
    for (const link of this.links) {
      const isHere = link.dataset.tab === this.current;
      link.setAttribute("aria-selected", isHere);
      link.tabIndex = isHere ? 0 : -1;
      if (isHere) this.panel.setAttribute("aria-labelledby", link.id);
    }
  }

  key(event, link) {
    const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
    const place = this.links.indexOf(link);
    const count = this.links.length;
    let next;
    if (event.key in steps) next = this.links[(place + steps[event.key] + count) % count];
    else if (event.key === "Home") next = this.links[0];
    else if (event.key === "End") next = this.links[count - 1];
    else if (event.key === " ") next = link;
    if (!next) return;
    event.preventDefault();
    next.focus();
    this.open(next.dataset.tab);
  }

  /** Show a tab; resolves when it is there. The newest wish wins. */
  async open(name, { isBack = false, isAnew = false } = {}) {
    if (name === this.current && !isAnew) return;
    const wish = Symbol(name);
    this.wish = wish;
    this.panel.setAttribute("aria-busy", "true");
    try {
      await this.before();
      if (this.wish !== wish) return;
      const response = await fetch(`${this.address}/tabs/${name}`, { headers: { accept: "text/html" } });
      if (!response.ok) throw new Error(String(response.status));
      const html = await response.text();
      if (this.wish !== wish) return;
      this.panel.innerHTML = html;
    } catch {
      location.assign(`${this.address}?tab=${name}`); // the page itself says what is the matter
      return;
    } finally {
      if (this.wish === wish) this.panel.removeAttribute("aria-busy");
    }
    const isOther = name !== this.current;
    this.current = name;
    this.mark();
    if (isOther && !isBack) history.pushState(null, "", `?tab=${name}`);
    this.links.find((one) => one.dataset.tab === name).scrollIntoView({ block: "nearest", inline: "nearest" });
    this.shown(name);
  }
}
