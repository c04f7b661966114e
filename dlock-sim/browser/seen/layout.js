// What is wrong with how the page is laid out. Both functions run in the page.

/** A sentence if the page must be scrolled sideways. */
export function sidewaysScroll() {
  const { scrollWidth, clientWidth } = document.scrollingElement;
  return scrollWidth > clientWidth ? [`the page is ${scrollWidth} px wide in a window of ${clientWidth} px`] : [];
}

/** Sentences about takes that are not side by side (`wide`: in rows of two) or not below each other. */
export function misplacedTakes(wide) {
  const takes = [...document.querySelectorAll('.take')];
  const boxes = takes.map((take) => take.getBoundingClientRect());
  return takes.slice(1).flatMap((take, index) => {
    const [before, box] = [boxes[index], boxes[index + 1]];
    const beside = Math.abs(box.top - before.top) <= 1 && box.left >= before.right;
    const below = Math.abs(box.left - before.left) <= 1 && box.top >= before.bottom;
    const newRow = wide && index % 2 === 1 && box.top >= before.bottom;
    if (wide ? beside || newRow : below) return [];
    return [`the take ${take.dataset.way} is not ${wide ? 'beside' : 'below'} the one before it`];
  });
}
