// The photographs by sharp: as many at once as there are cores. sharp_images.mjs INPUTS OUTPUT [exact]
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import sharp from "sharp";

const [inputs, output, exact] = process.argv.slice(2);
const names = readdirSync(`${inputs}/photographs`).sort();
// As it comes, it decodes at a half where that is as large as what is wanted; `exact` only where it is twice as large.
const options = { fit: "inside", withoutEnlargement: true, fastShrinkOnLoad: !exact };
sharp.cache(false);

async function lane() {
  for (let name = names.shift(); name; name = names.shift()) {
    await sharp(`${inputs}/photographs/${name}`).autoOrient().resize(1600, 1600, options).jpeg({ quality: 85 })
      .toFile(`${output}/${name}`);
  }
}

await Promise.all(Array.from({ length: availableParallelism() }, lane));
console.log(JSON.stringify({ package: `sharp ${sharp.versions.sharp} (libvips ${sharp.versions.vips})` }));
