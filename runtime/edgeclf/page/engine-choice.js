/** Which engine answers: a static site names the description of its model in its HTML, the service does not. */

/** @returns {Promise<import("./types.js").Engine>} */
export async function chooseEngine() {
  const description = document.getElementById("model-description");
  if (description instanceof HTMLLinkElement) {
    const { startSite } = await import("./site-start.js");
    const { packedSite } = await import("./packed-site.js");
    return startSite(description.href, packedSite(), description.dataset.model ?? "");
  }
  const { httpEngine } = await import("./engine-http.js");
  return httpEngine();
}
