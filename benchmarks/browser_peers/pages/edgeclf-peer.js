/** edgeclf's engine, as a page of others uses it. */

import { open as openSite } from "./edgeclf/edgeclf.js";

export async function open() {
  const classifier = await openSite("edgeclf");
  return (photo) => classifier.classify(photo, { name: "photo.jpg" });
}
