/* Whether this program was built under a sanitizer of addresses or threads: ten to fifty times
 * slower, with its own allocator and terabytes of shadow. Tests that go through every case go
 * through fewer of them then. */
#ifndef ORDEAL_TESTS_SANITIZED_H
#define ORDEAL_TESTS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
#else
enum { SANITIZED = 0 };
#endif

#endif
