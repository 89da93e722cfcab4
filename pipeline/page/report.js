"use strict";
// The page works without this script: links lead to moments and clips. It adds playing in place and the readout.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  const player = by("player"), lanes = by("lanes"), shown = by("shown");
  const bars = [...document.querySelectorAll(".bar")];
  const paths = [...lanes.querySelectorAll("path")];
  let playing = { kind: data.reel ? "reel" : data.source ? "source" : "clip", index: 0 };
  let selected = -1;
  let stop_s = Infinity; // where a moment ends that plays from the whole video

  function select(index) {
    if (index === selected) return;
    selected = index;
    for (const element of document.querySelectorAll("[data-moment]")) {
      element.toggleAttribute("aria-current", Number(element.dataset.moment) === index);
    }
    for (const [place, bar] of bars.entries()) bar.tabIndex = place === Math.max(index, 0) ? 0 : -1;
    const card = by(`moment-${index}`);
    if (!card || !shown) return;
    const about = card.querySelector(".about").cloneNode(true);
    about.classList.add(...[...card.classList].filter((name) => name.startsWith("hue")));
    shown.replaceChildren(about);
  }

  function load(url, now) {
    playing = now;
    for (const kind of ["reel", "source"]) by(`play-${kind}`)?.setAttribute("aria-pressed", String(now.kind === kind));
    by("trouble")?.setAttribute("hidden", "");
    if (player.getAttribute("src") !== url) player.src = url;
  }

  function playMoment(index) {
    select(index);
    const { clip, start_s, end_s } = data.moments[index];
    if (clip && player) {
      stop_s = Infinity;
      load(clip, { kind: "clip", index });
      player.currentTime = 0;
      start();
    } else if (data.source) {
      playSource(start_s, end_s);
    } else {
      by(`moment-${index}`).scrollIntoView({ block: "center" });
    }
  }

  function playSource(from_s, until_s) {
    stop_s = until_s;
    load(data.source, { kind: "source", index: -1 });
    player.currentTime = from_s; // before the file is open, this is where it will begin
    start();
  }

  function playReel() {
    stop_s = Infinity;
    load(data.reel.url, { kind: "reel", index: -1 });
    player.currentTime = 0;
    start();
  }

  const start = () => player.play().catch(() => {}); // the browser may want a click first: its own button remains

  // Where the player is, on the timeline of the whole video; in a reel, moments follow each other without gaps.
  function position_s() {
    if (playing.kind === "source") return player.currentTime;
    if (playing.kind === "clip") return data.moments[playing.index].start_s + player.currentTime;
    let left_s = player.currentTime;
    for (const index of data.reel.segments) {
      const { start_s, end_s } = data.moments[index];
      if (left_s < end_s - start_s) {
        select(index);
        return start_s + left_s;
      }
      left_s -= end_s - start_s;
    }
    return NaN;
  }

  function follow() {
    if (playing.kind === "source" && player.currentTime >= stop_s) {
      player.pause();
      stop_s = Infinity;
    }
    const share = position_s() / data.duration_s;
    by("playhead").hidden = !(share >= 0 && share <= 1);
    by("playhead").style.left = `${100 * share}%`;
  }

  function step(by_how_many) {
    const next = selected + by_how_many;
    if (next >= 0 && next < data.moments.length) playMoment(next);
  }

  if (player) {
    player.addEventListener("timeupdate", follow);
    player.addEventListener("error", () => {
      by("trouble").textContent = "This browser cannot play the file: it was moved, or its format is not supported here.";
      by("trouble").hidden = false;
    });
    by("play-reel")?.addEventListener("click", playReel);
    by("play-source")?.addEventListener("click", () => playSource(0, Infinity));
    by("play-reel")?.setAttribute("aria-pressed", String(playing.kind === "reel"));
    by("play-source")?.setAttribute("aria-pressed", String(playing.kind === "source"));
  }
  by("earlier")?.addEventListener("click", () => step(-1));
  by("later")?.addEventListener("click", () => step(1));

  for (const [place, bar] of bars.entries()) {
    bar.tabIndex = place ? -1 : 0; // one stop for the Tab key; arrows move along the bars
    bar.addEventListener("click", (event) => {
      event.preventDefault();
      event.stopPropagation();
      playMoment(Number(bar.dataset.moment));
    });
    bar.addEventListener("keydown", (event) => {
      const next = bars[place + { ArrowRight: 1, ArrowLeft: -1 }[event.key]];
      if (next) {
        event.preventDefault();
        next.focus();
      }
    });
  }
  for (const link of document.querySelectorAll("[data-play]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      playMoment(Number(link.dataset.play));
    });
  }
  for (const shot of document.querySelectorAll("a.shot")) {
    shot.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      playMoment(Number(shot.closest(".moment").dataset.moment));
      player.scrollIntoView({ block: "center" });
    });
  }
  for (const button of document.querySelectorAll("[data-order]")) {
    button.addEventListener("click", () => {
      const key = button.dataset.order === "score" ? (card) => -card.dataset.score : (card) => Number(card.dataset.moment);
      by("cards").append(...[...by("cards").children].sort((a, b) => key(a) - key(b)));
      for (const other of document.querySelectorAll("[data-order]")) other.setAttribute("aria-pressed", String(other === button));
    });
  }

  // The curves are read back from the paths that draw them, so no value is in the page twice.
  const curves = paths.map((path) => {
    const stems = path.closest(".stems") !== null;
    const pairs = path.getAttribute("d").matchAll(stems ? /M(\d+) \d+V(\d+)/g : /(\d+) (\d+)/g);
    return { ...path.dataset, stems, points: [...pairs].map(([, x, y]) => [Number(x), Number(y)]) };
  });

  function value(curve, column) {
    const low = Number(curve.low), high = Number(curve.high);
    const row = curve.stems
      ? Math.min(100, ...curve.points.filter(([x]) => Math.abs(x - column) <= 2).map(([, y]) => y))
      : (curve.points.slice(1).findLast(([x]) => x <= column) ?? [0, 100])[1];
    const text = (low + (1 - row / 100) * (high - low)).toFixed(high - low > 10 ? 0 : 2);
    return `${curve.name} ${text}${curve.unit && " " + curve.unit}`;
  }

  function clock(t_s) {
    const two = (number) => String(number).padStart(2, "0");
    return `${Math.floor(t_s / 3600)}:${two(Math.floor(t_s / 60) % 60)}:${two(Math.floor(t_s) % 60)}.${Math.floor(10 * (t_s % 1))}`;
  }

  function shareAt(event) {
    const box = lanes.querySelector(".over").getBoundingClientRect();
    return (event.clientX - box.left) / box.width;
  }

  lanes.addEventListener("pointermove", (event) => {
    const share = shareAt(event), inside = share >= 0 && share <= 1;
    by("crosshair").hidden = !inside;
    by("crosshair").style.left = `${100 * share}%`;
    by("readout").textContent = inside
      ? [clock(share * data.duration_s), ...curves.map((curve) => value(curve, 1000 * share))].join(" · ")
      : "";
  });
  lanes.addEventListener("pointerleave", () => {
    by("crosshair").hidden = true;
    by("readout").textContent = "";
  });
  lanes.addEventListener("click", (event) => {
    const t_s = shareAt(event) * data.duration_s;
    if (t_s < 0 || t_s > data.duration_s) return;
    if (data.source) return playSource(t_s, Infinity);
    const index = data.moments.findIndex(({ start_s, end_s }) => start_s <= t_s && t_s < end_s);
    if (index >= 0) playMoment(index);
  });

  const named = /^#moment-(\d+)$/.exec(location.hash);
  if (named && data.moments[named[1]]) select(Number(named[1]));
})();
