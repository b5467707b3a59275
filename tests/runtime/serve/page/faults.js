// What is outside of the screen, cut off, covered, too small, or nameless to a screen reader, as a list of sentences.
(target) => {
  const found = [];
  const name = (one) => `${one.tagName.toLowerCase()}.${one.className} ${one.textContent.trim().slice(0, 40)}`;
  const scrolls = (one) => one.closest(".faces, .grid, .warnings, .jobs");
  const seen = (one) => one.checkVisibility() && !one.closest(".sr, .hidden-input");
  const inside = (one, box) =>
    box.left >= -1 && box.top >= -1 && box.right <= innerWidth + 1 && box.bottom <= innerHeight + 1;
  for (const one of document.querySelectorAll("button, a, input:not(.hidden-input), [role=slider]")) {
    if (!seen(one) || scrolls(one)) continue;
    const box = one.getBoundingClientRect();
    if (!inside(one, box)) found.push(`outside: ${name(one)}`);
    const said = one.getAttribute("aria-label") || one.textContent.trim() || one.querySelector("img")?.alt;
    if (!said) found.push(`nameless: ${one.className}`);
    if (!one.matches("[role=slider]") && Math.min(box.width, box.height) < target) found.push(`small: ${name(one)}`);
    const onTop = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    if (!one.contains(onTop) && !onTop?.closest("[role=slider]")) found.push(`covered: ${name(one)}`);
  }
  for (const one of document.querySelectorAll("h1, h2, p, strong, small, span, li, b, button")) {
    if (!seen(one) || scrolls(one) || !one.textContent.trim() || one.closest(".rings")) continue;
    if (!inside(one, one.getBoundingClientRect())) found.push(`outside: ${name(one)}`);
    if (one.scrollWidth > one.clientWidth + 2 && getComputedStyle(one).display !== "inline") {
      found.push(`cut: ${name(one)}`);
    }
    if (parseFloat(getComputedStyle(one).fontSize) < 12) found.push(`tiny: ${name(one)}`);
  }
  const { scrollWidth, scrollHeight } = document.documentElement;
  if (scrollWidth > innerWidth || scrollHeight > innerHeight) found.push("the page scrolls");
  return found;
}
