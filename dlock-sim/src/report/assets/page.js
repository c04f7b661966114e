"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const takes = new Map(all("script.data").map((one) => {
    const data = JSON.parse(one.textContent);
    return [data.way, { ...data, section: document.querySelector(`.take[data-way="${data.way}"]`) }];
  }));
  const [first] = takes.keys();
  const scrubber = byId("scrubber");
  let way = first;
  let at = 0;
  let timer = null;
  let quiet = false;

  // ---- where we are

  const stops = () => takes.get(way).stops;

  function select(next) {
    way = next;
    for (const take of takes.values()) take.section.classList.toggle("selected", take.way === way);
    scrubber.max = Math.max(stops().length - 1, 0);
  }

  /** The same true moment in another take: the last stop that is not later. */
  function nearest(take, seconds) {
    let found = 0;
    take.stops.forEach((stop, index) => { if (parseFloat(stop.t) <= seconds) found = index; });
    return found;
  }

  function show(index, tell = true) {
    at = Math.min(Math.max(index, 0), stops().length - 1);
    const stop = stops()[at];
    if (!stop) return;
    scrubber.value = at;
    const broken = stop.v.length ? ` ✕ ${stop.v.join(" ✕ ")}` : "";
    byId("event").textContent = `Event ${stop.e}, ${stop.t}: ${stop.s}${broken}`;
    scrubber.setAttribute("aria-valuetext", `${stop.t}: ${stop.s}`);
    for (const take of takes.values()) {
      const here = take.way === way ? stop : take.stops[nearest(take, parseFloat(stop.t))];
      cursor(take, here);
    }
    panel(stop);
    captions(stop);
    if (tell) {
      quiet = true;
      const place = way === first ? `#e=${stop.e}` : `#way=${way}&e=${stop.e}`;
      history.replaceState(null, "", place);
      quiet = false;
    }
  }

  function cursor(take, stop) {
    if (!stop) return;
    for (const [kind, x] of [["folded", stop.x], ["linear", stop.l]]) {
      const svg = take.section.querySelector(`svg.${kind}`);
      const line = svg.querySelector("line.cursor");
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
      line.style.visibility = "visible";
      svg.style.setProperty("--hide", `${100 - (100 * (x + 2)) / svg.viewBox.baseVal.width}%`);
    }
  }

  function panel(stop) {
    const cell = (kind, text) => Object.assign(document.createElement(kind), { textContent: text });
    const names = takes.get(way).lanes.map((lane) => Object.assign(cell("th", lane), { scope: "col" }));
    byId("panel").tHead.rows[0].replaceChildren(...names);
    byId("panel").tBodies[0].rows[0].replaceChildren(...stop.st.map((state) => cell("td", state)));
  }

  function captions(stop) {
    for (const item of all("li[data-e]")) {
      const here = item.dataset.way === way && Number(item.dataset.e) === stop.e;
      item.classList.toggle("current", here);
      const of = takes.get(item.dataset.way).stops.find((one) => one.e === Number(item.dataset.e));
      item.classList.toggle("future", parseFloat(of.t) > parseFloat(stop.t));
      if (here) {
        const list = item.parentElement;
        const [top, bottom] = [item.offsetTop - list.offsetTop, item.offsetTop - list.offsetTop + item.offsetHeight];
        if (top < list.scrollTop || bottom > list.scrollTop + list.clientHeight) {
          list.scrollTop = top - list.clientHeight / 2;
        }
      }
    }
  }

  function nextViolation() {
    const later = stops().findIndex((stop, index) => index > at && stop.v.length);
    const any = stops().findIndex((stop) => stop.v.length);
    if (later >= 0 || any >= 0) return show(later >= 0 ? later : any);
    const other = [...takes.values()].find((take) => take.stops.some((stop) => stop.v.length));
    if (other) {
      select(other.way);
      show(other.stops.findIndex((stop) => stop.v.length));
    }
  }

  function play(on) {
    clearInterval(timer);
    timer = on ? setInterval(() => (at + 1 < stops().length ? show(at + 1) : play(false)), 450) : null;
    byId("play").textContent = on ? "Stop" : "Play";
    byId("play").setAttribute("aria-pressed", String(Boolean(on)));
  }

  function fromLink() {
    if (quiet) return;
    const asked = new URLSearchParams(location.hash.slice(1));
    if (takes.has(asked.get("way"))) select(asked.get("way"));
    else if (asked.has("e")) select(first);
    const e = Number(asked.get("e"));
    if (!asked.has("e") || Number.isNaN(e)) return;
    const exact = stops().findIndex((stop) => stop.e === e);
    const before = stops().filter((stop) => stop.e <= e).length - 1;
    show(exact >= 0 ? exact : before, false);
  }

  // ---- what people do

  scrubber.addEventListener("input", () => show(Number(scrubber.value)));
  byId("previous").addEventListener("click", () => show(at - 1));
  byId("next").addEventListener("click", () => show(at + 1));
  byId("next-violation").addEventListener("click", nextViolation);
  byId("play").addEventListener("click", () => play(!timer));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input:not([type=range]), textarea");
    const pressing = event.target.closest("button, a, input[type=checkbox]");
    if (event.key === "ArrowRight") show(at + 1);
    else if (event.key === "ArrowLeft") show(at - 1);
    else if (event.key === "n" && !typing) nextViolation();
    else if (event.key === " " && !pressing) play(!timer);
    else return;
    event.preventDefault();
  });
  for (const take of takes.values()) {
    for (const svg of all("svg.diagram", take.section)) {
      svg.addEventListener("click", (event) => {
        const box = svg.getBoundingClientRect();
        const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
        const key = svg.classList.contains("linear") ? "l" : "x";
        select(take.way);
        const distance = (index) => Math.abs(stops()[index][key] - x);
        show(stops().reduce((best, _, index) => (distance(index) < distance(best) ? index : best), 0));
      });
    }
  }
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  byId("copy").addEventListener("click", async () => {
    const command = byId("replay");
    try {
      await navigator.clipboard.writeText(command.textContent);
      byId("copy").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(command);
      byId("copy").textContent = "Selected: press Ctrl+C";
    }
  });
  const predict = (on) => {
    document.body.classList.toggle("predict", on);
    byId("predict").setAttribute("aria-pressed", String(on));
    byId("reveal").hidden = !on;
  };
  byId("predict").addEventListener("click", () => {
    const on = !document.body.classList.contains("predict");
    if (on) show(0);
    predict(on);
  });
  byId("reveal").addEventListener("click", () => predict(false));
  addEventListener("hashchange", fromLink);

  for (const id of ["theme", "predict", "copy", "event", "panel"]) byId(id).hidden = false;
  for (const row of all(".scripted")) row.hidden = false;
  select(first);
  const asked = stops().findIndex((stop) => stop.e === takes.get(first).open);
  const violation = asked >= 0 ? asked : stops().findIndex((stop) => stop.v.length);
  show(Math.max(violation, 0), false);
  fromLink();
})();
