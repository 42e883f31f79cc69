// Writes what a vault writes with the npm package `jose`, sharing no code with keyvault.
// Reads one JSON object: issuer (PKCS #8 PEM), issuerKid, typ, and either payload (text to sign), or
// protected (a JSON object), plaintext (hexadecimal) and recipients (header, and k or spki) to encrypt first;
// members in the order in which they are to be written.  Prints the signed file.
// With verify (a signed file) and spki (PEM) it prints header and payload of that file instead.
import { readFileSync } from "node:fs";
import { CompactSign, GeneralEncrypt, compactVerify, importJWK, importPKCS8, importSPKI } from "jose";

const job = JSON.parse(readFileSync(0, "utf8"));
const octets = (text) => new TextEncoder().encode(text);

async function encrypted() {
  const token = new GeneralEncrypt(Buffer.from(job.plaintext, "hex")).setProtectedHeader(job.protected);
  for (const { header, k, spki } of job.recipients) {
    const key = k ? await importJWK({ kty: "oct", k }, header.alg) : await importSPKI(spki, header.alg);
    token.addRecipient(key).setUnprotectedHeader(header);
  }
  const { ciphertext, iv, protected: shared, recipients, tag } = await token.encrypt();
  const parts = recipients.map(({ encrypted_key, header }) => ({ encrypted_key, header }));
  return JSON.stringify({ ciphertext, iv, protected: shared, recipients: parts, tag });
}

if (job.verify) {
  const key = await importSPKI(job.spki, "Ed25519");
  const { payload, protectedHeader } = await compactVerify(job.verify, key, { algorithms: ["Ed25519"] });
  console.log(JSON.stringify({ header: protectedHeader, payload: new TextDecoder().decode(payload) }));
} else {
  const key = await importPKCS8(job.issuer, "Ed25519");
  const header = { alg: "Ed25519", kid: job.issuerKid, typ: job.typ, v: 1 };
  const payload = octets(job.payload ?? (await encrypted()));
  process.stdout.write(await new CompactSign(payload).setProtectedHeader(header).sign(key));
}
