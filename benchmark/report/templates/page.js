"use strict";
// Everything can be read without this script. It sorts tables, chooses one of many, says what a pointer is near or a
// keyboard has come to, and turns the page dark.
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // Light and dark -----------------------------------------------------------------------------------------------

  const theme = document.getElementById("theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ?? (prefersDark.matches ? "dark" : "light")) === "dark";
  const showTheme = () => theme.setAttribute("aria-pressed", String(isDark()));
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  prefersDark.addEventListener("change", showTheme);
  showTheme();

  // Tables that sort ---------------------------------------------------------------------------------------------

  const words = new Intl.Collator(undefined, { numeric: true });

  function sort(head, table) {
    const place = head.cellIndex;
    const heads = all("thead th", table);
    const opposite = { ascending: "descending", descending: "ascending" };
    const order = opposite[head.getAttribute("aria-sort")] ?? head.dataset.first;
    const sign = order === "ascending" ? 1 : -1;
    const isNumber = head.classList.contains("number");
    const key = (row) => row.cells[place].dataset.sort;
    const compared = (one, other) => {
      const [first, second] = [key(one), key(other)];
      // What is not known comes last, whichever the order.
      if (first === "" || second === "") return (first === "") - (second === "");
      return sign * (isNumber ? first - second : words.compare(first, second));
    };
    for (const one of heads) one.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort(compared));
  }

  for (const table of all("table.sortable")) {
    table.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) sort(button.closest("th"), table);
    });
  }

  // One of many --------------------------------------------------------------------------------------------------

  function choose(select) {
    const name = select.dataset.chooses;
    for (const part of all(`[data-${name}]`)) part.toggleAttribute("hidden", part.dataset[name] !== select.value);
  }

  for (const select of all("select[data-chooses]")) {
    // A browser that goes back to a page restores the choice, not what it showed.
    choose(select);
    select.addEventListener("change", () => choose(select));
  }

  function chooseIn(select, value) {
    const isThere = select !== null && all("option", select).some((option) => option.value === value);
    if (isThere) {
      select.value = value;
      choose(select);
    }
    return isThere;
  }

  const [entrants, trials] = ["entrant", "trial"].map((id) => document.getElementById(id));

  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#entrant-"]');
    if (link && chooseIn(entrants, link.hash.slice(1))) {
      document.getElementById(entrants.value).focus({ preventScroll: true });
    }
  });
  // A link to an entrant from elsewhere leads to a part that was hidden when the browser looked for it.
  if (chooseIn(entrants, location.hash.slice(1))) document.getElementById(entrants.value).scrollIntoView();

  // What a pointer is near ---------------------------------------------------------------------------------------

  const tip = document.getElementById("tip");
  const REACH = 28;
  let near = null;

  // The browser's own tips would come as well, late and only where a line is hit exactly.
  for (const title of all(".plot title")) {
    title.parentNode.tip = title.textContent;
    title.remove();
  }

  function places(element) {
    if (element.tagName === "polyline") return [...element.points].map((point) => [point.x, point.y]);
    if (element.tagName === "rect") {
      const box = element.getBBox();
      return [[box.x + box.width / 2, box.y], [box.x + box.width / 2, box.y + box.height / 2]];
    }
    return [[element.x.baseVal.value, element.y.baseVal.value]];
  }

  function told(plot) {
    return all("polyline, use, rect", plot).filter((element) => element.tip && element.getClientRects().length);
  }

  function nearest(plot, event) {
    const matrix = plot.getScreenCTM();
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    let found = null;
    let least = REACH / matrix.a;
    for (const element of told(plot)) {
      for (const [x, y] of places(element)) {
        const distance = Math.hypot(x - at.x, y - at.y);
        // Of a line and the dot at its end, the dot says more.
        if (distance < least || (distance === least && element.tagName === "use")) {
          least = distance;
          found = element;
        }
      }
    }
    return found;
  }

  function point(element, event) {
    if (element !== near) {
      for (const one of all(".near")) one.classList.remove("near");
      near = element;
      const trial = element?.dataset.trial;
      const marked = !element ? [] : trial === undefined ? [element] : all(`.plot [data-trial="${trial}"]`);
      for (const one of marked) one.classList.add("near");
      tip.textContent = element?.tip ?? "";
      tip.hidden = !element;
    }
    if (!element) return;
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - width - 8);
    const top = event.clientY - height - 12;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${top < 8 ? event.clientY + 18 : top}px`;
  }

  for (const plot of all(".plot")) {
    plot.addEventListener("pointermove", (event) => point(nearest(plot, event), event));
    plot.addEventListener("pointerdown", (event) => point(nearest(plot, event), event));
    plot.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && point(null, event));
    plot.addEventListener("click", (event) => {
      const trial = nearest(plot, event)?.dataset.trial;
      if (trial !== undefined) chooseIn(trials, trial);
    });
  }

  // The same by keyboard -----------------------------------------------------------------------------------------

  const keys = document.getElementById("keys");
  const announced = document.getElementById("announced");
  const MARGIN = 24;
  keys.hidden = false;

  // A line is told where it ends: of lines with one beginning that is what tells them apart.
  const end = (element) => places(element).at(element.tagName === "polyline" ? -1 : 0);

  function inOrder(plot) {
    const ends = new Map(told(plot).map((element) => [element, end(element)]));
    const compared = ([, one], [, other]) => one[0] - other[0] || one[1] - other[1];
    return [...ends].sort(compared).map(([element]) => element);
  }

  function tell(plot, element) {
    const onScreen = () => new DOMPoint(...end(element)).matrixTransform(plot.getScreenCTM());
    const box = plot.closest(".scroll");
    const { left, right } = box.getBoundingClientRect();
    const { x } = onScreen();
    box.scrollLeft += x - Math.min(Math.max(x, left + MARGIN), right - MARGIN);
    const at = onScreen();
    point(element, { clientX: at.x, clientY: at.y });
    announced.textContent = element.tip;
  }

  function press(plot, event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const elements = inOrder(plot);
    const place = elements.indexOf(near);
    const next = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: elements.length - 1 }[event.key];
    if (next !== undefined && elements.length) {
      tell(plot, elements[Math.min(Math.max(next, 0), elements.length - 1)]);
    } else if (event.key === "Enter" && place >= 0) {
      const trial = near.dataset.trial;
      if (trial !== undefined && chooseIn(trials, trial)) announced.textContent = `Trial ${trial} is chosen.`;
    } else if (event.key === "Escape" && place >= 0) {
      point(null);
    } else {
      return;
    }
    event.preventDefault();
  }

  for (const plot of all(".plot")) {
    if (!all("*", plot).some((element) => element.tip)) continue;
    plot.setAttribute("tabindex", "0");
    // As an image it would be passed over, and its keys would be the screen reader's.
    plot.setAttribute("role", "application");
    plot.setAttribute("aria-roledescription", "chart");
    plot.setAttribute("aria-describedby", keys.id);
    plot.addEventListener("keydown", (event) => press(plot, event));
    plot.addEventListener("blur", () => plot.contains(near) && point(null));
  }

  // On paper everything is open ----------------------------------------------------------------------------------

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    for (const one of closed) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of closed) one.open = false;
  });
})();
