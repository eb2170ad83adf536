/* The code that patched processes run instead of their vDSO's: see vdso.h.
 *
 * It is data here: copied behind the data page in the process, 4096 bytes after its beginning, and
 * never run in the agent. So it is position-independent and calls nothing outside itself. Each
 * function makes the real system call and warps what it says; failures are passed on. */
#include "harness/agent/vdso.h"

#include <stddef.h>

#ifdef __x86_64__

/* The offsets that the code below has as numbers. */
_Static_assert(offsetof(struct agentd_vdso_page, index) == 24, "payload");
_Static_assert(offsetof(struct agentd_vdso_page, slots) == 32, "payload");
_Static_assert(sizeof(struct agentd_warps) == 48 && sizeof(struct agentd_warp) == 24, "payload");

extern const uint8_t agentd_payload_gettimeofday[], agentd_payload_time[], agentd_payload_int3[];

__asm__(
    ".pushsection .rodata\n"
    ".balign 64\n"
    ".globl agentd_payload, agentd_payload_end\n"
    ".globl agentd_payload_gettimeofday, agentd_payload_time, agentd_payload_int3\n"

    /* int clock_gettime(clockid_t %edi, struct timespec *%rsi) */
    "agentd_payload:\n"
    "  movl $228, %eax\n"
    "  syscall\n"
    "  testq %rax, %rax\n"
    "  jnz 9f\n"
    "  cmpl $31, %edi\n" /* clocks of processes, threads and devices have other numbers */
    "  ja 9f\n"
    "  movl %edi, %ecx\n"
    "  movl $1, %edx\n"
    "  shll %cl, %edx\n"
    "  xorl %r10d, %r10d\n"
    "  testl $0x821, %edx\n" /* REALTIME, REALTIME_COARSE, TAI */
    "  jnz 1f\n"
    "  movl $24, %r10d\n"
    "  testl $0xd2, %edx\n" /* MONOTONIC, its RAW and COARSE, BOOTTIME */
    "  jz 9f\n"
    "1: imulq $1000000000, (%rsi), %rax\n"
    "  addq 8(%rsi), %rax\n"
    "  call 8f\n"
    "  cqto\n"
    "  movl $1000000000, %ecx\n"
    "  idivq %rcx\n"
    "  movq %rax, (%rsi)\n"
    "  movq %rdx, 8(%rsi)\n"
    "  xorl %eax, %eax\n"
    "9: ret\n"

    /* int gettimeofday(struct timeval *%rdi, struct timezone *%rsi) */
    ".balign 16\n"
    "agentd_payload_gettimeofday:\n"
    "  movl $96, %eax\n"
    "  syscall\n"
    "  testq %rax, %rax\n"
    "  jnz 9f\n"
    "  testq %rdi, %rdi\n"
    "  jz 9f\n"
    "  movq %rdi, %rsi\n"
    "  imulq $1000000000, (%rsi), %rax\n"
    "  imulq $1000, 8(%rsi), %rcx\n"
    "  addq %rcx, %rax\n"
    "  xorl %r10d, %r10d\n"
    "  call 8f\n"
    "  cqto\n"
    "  movl $1000000000, %ecx\n"
    "  idivq %rcx\n"
    "  movq %rax, (%rsi)\n"
    "  movq %rdx, %rax\n"
    "  xorl %edx, %edx\n"
    "  movl $1000, %ecx\n"
    "  divq %rcx\n"
    "  movq %rax, 8(%rsi)\n"
    "  xorl %eax, %eax\n"
    "9: ret\n"

    /* time_t time(time_t *%rdi) */
    ".balign 16\n"
    "agentd_payload_time:\n"
    "  pushq %rdi\n"
    "  subq $16, %rsp\n"
    "  movq %rsp, %rsi\n"
    "  xorl %edi, %edi\n"
    "  movl $228, %eax\n"
    "  syscall\n"
    "  imulq $1000000000, (%rsi), %rax\n"
    "  addq 8(%rsi), %rax\n"
    "  xorl %r10d, %r10d\n"
    "  call 8f\n"
    "  cqto\n"
    "  movl $1000000000, %ecx\n"
    "  idivq %rcx\n"
    "  addq $16, %rsp\n"
    "  popq %rdi\n"
    "  testq %rdi, %rdi\n"
    "  jz 9f\n"
    "  movq %rax, (%rdi)\n"
    "9: ret\n"

    /* Warps the true %rax; %r10 is 0 for the wall clock, 24 for the monotonic one. Keeps %rsi. */
    ".balign 16\n"
    "8: leaq agentd_payload(%rip), %r8\n"
    "  subq $4096, %r8\n"
    "1: movzbl 24(%r8), %ecx\n"
    "  movl %ecx, %edx\n"
    "  andl $1, %edx\n"
    "  imull $48, %edx, %edx\n"
    "  leaq 32(%r8,%rdx), %r9\n"
    "  addq %r10, %r9\n"
    "  movq (%r9), %rdx\n"
    "  movq 8(%r9), %r11\n"
    "  movq 16(%r9), %r9\n"
    "  movzbl 24(%r8), %edi\n" /* loads are not reordered on this machine */
    "  cmpl %ecx, %edi\n"
    "  jne 1b\n"
    "  subq %rdx, %rax\n"
    "  imulq %r9\n"
    "  shrdq $32, %rdx, %rax\n"
    "  addq %r11, %rax\n"
    "  ret\n"

    "agentd_payload_int3:\n"
    "  int3\n"
    "agentd_payload_end:\n"
    "  .byte 0\n"
    ".popsection\n");

uint64_t agentd_payload_entry(int function)
{
    const uint8_t *const entries[] = {agentd_payload, agentd_payload_gettimeofday,
                                      agentd_payload_time};
    return (uint64_t)(entries[function] - agentd_payload);
}

uint64_t agentd_payload_trap(void)
{
    return (uint64_t)(agentd_payload_int3 - agentd_payload);
}

#else

const uint8_t agentd_payload[1], agentd_payload_end[1];

uint64_t agentd_payload_entry(int function)
{
    (void)function;
    return 0;
}

uint64_t agentd_payload_trap(void)
{
    return 0;
}

#endif
