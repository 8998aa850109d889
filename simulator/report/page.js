
"use strict";
// Only filters and opens: all content is in the page, and there without this.
(() => {
  const form = document.querySelector("form");
  const scenarios = [...document.querySelectorAll("tbody.scenario")];
  const areas = [...document.querySelectorAll("tbody.area")];
  const nothing = document.querySelector(".nothing");
  const count = document.getElementById("count");
  const chosen = (id) => document.getElementById(id).value;
  const words = new Map(scenarios.map((each) => [each, each.textContent.toLowerCase()]));

  const fits = (each, wanted) =>
    (!wanted.area || each.dataset.area === wanted.area) &&
    (!wanted.evidence || each.dataset.evidence === wanted.evidence) &&
    (!wanted.outcome || each.dataset.outcome.split(" ").includes(wanted.outcome)) &&
    wanted.search.every((word) => words.get(each).includes(word));

  const filter = () => {
    const wanted = {
      area: chosen("area"),
      evidence: chosen("evidence"),
      outcome: chosen("outcome"),
      search: chosen("search").toLowerCase().split(/\s+/).filter(Boolean),
    };
    let shown = 0;
    const inhabited = new Set();
    for (const each of scenarios) {
      each.hidden = !fits(each, wanted);
      if (!each.hidden) {
        shown += 1;
        inhabited.add(each.dataset.area);
      }
    }
    for (const area of areas) area.hidden = !inhabited.has(area.dataset.area);
    nothing.hidden = shown > 0;
    count.textContent = `${shown} of ${scenarios.length} scenarios`;
  };

  const open = (state) => () => {
    for (const each of scenarios) {
      if (!each.hidden) each.querySelector("details").open = state;
    }
  };

  const follow = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.matches("tbody.scenario")) target.querySelector("details").open = true;
  };

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  document.getElementById("open-all").addEventListener("click", open(true));
  document.getElementById("close-all").addEventListener("click", open(false));
  addEventListener("hashchange", follow);
  form.hidden = false;
  filter();
  follow();
})();
