// Which links within the page lead nowhere. It runs in the page.

/** Sentences about links and captions whose event is not shown when they are followed. */
export async function brokenLinks() {
  const links = [...document.querySelectorAll('a[href^="#"]')].map((link) => link.getAttribute('href'));
  const complaints = [];
  for (const link of new Set(links)) {
    const event = new URLSearchParams(link.slice(1)).get('e');
    if (event === null) {
      if (!document.getElementById(link.slice(1))) complaints.push(`nothing is called ${link}`);
      continue;
    }
    location.hash = link;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const shown = document.querySelector('#event').textContent.match(/\d+/)?.[0];
    if (shown !== event) complaints.push(`${link} leads to event ${shown}`);
  }
  return complaints;
}
