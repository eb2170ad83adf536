/* Authorities and certificates made on the spot, as PEM files. */
#ifndef ORDEAL_TESTS_QUEUE_CERTIFICATES_H
#define ORDEAL_TESTS_QUEUE_CERTIFICATES_H

/* Makes <directory>/<name>.crt and .key, signed by <directory>/<authority>.crt and .key; authority
 * NULL: an authority of its own. */
void certificate_make(const char *directory, const char *name, const char *authority);

#endif
