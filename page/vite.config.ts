import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { defineConfig } from "vite";

const out = "../src/nearfar/serve/page";

/** What the assets were built from, so that a test without Node can tell old ones. */
function source(): string {
  const files = ["index.html", "package-lock.json", "vite.config.ts", ...readdirSync("src").map((name) => `src/${name}`)];
  const hash = createHash("sha256");
  for (const name of files.sort()) hash.update(`${name}\n`).update(readFileSync(name));
  return hash.digest("hex");
}

export default defineConfig({
  base: "./",
  // the package's own entry also brings its viewer, of some megabytes
  resolve: { alias: { "embedding-atlas/component": "/node_modules/embedding-atlas/dist/component.js", "@uwdata/mosaic-core": "/src/no-mosaic.ts", "@uwdata/mosaic-sql": "/src/no-mosaic.ts" } },
  worker: { format: "es", rollupOptions: { output: { entryFileNames: "assets/[name].js", chunkFileNames: "assets/[name].js" } } },
  build: {
    outDir: out,
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    assetsInlineLimit: 0, // the service's policy takes no data: but for images
    chunkSizeWarningLimit: 4000,
    rollupOptions: {
      checks: { importIsUndefined: false }, // what the stand-in for Mosaic lacks is never called
      output: { entryFileNames: "assets/[name].js", chunkFileNames: "assets/[name].js", assetFileNames: "assets/[name][extname]" },
    },
  },
  plugins: [{ name: "source", closeBundle: () => writeFileSync(`${out}/source.txt`, `${source()}\n`) }],
  server: { proxy: Object.fromEntries(["/about", "/search", "/similar", "/base", "/judgments", "/runs", "/map"].map((path) => [path, "http://localhost:8080"])) },
});
