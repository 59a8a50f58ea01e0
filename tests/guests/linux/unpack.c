/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The 32-bit part of a bzImage, in the place of the kernel's own: it unpacks a kernel from LZ4 to
 * where that was linked to be, and jumps there; to one for amd64 (-DAMD64) in 64-bit mode.
 * Debian's kernels are packed with xz, and to unpack that takes an emulated processor a quarter of
 * the whole boot.
 *
 * What holds here, and what the kernel expects, is in Linux' Documentation/arch/x86/boot.rst: flat
 * segments, no interrupts, the boot parameters in %esi. A 32-bit kernel wants no paging, a 64-bit
 * one its own memory and the boot parameters where they are.
 */
#include <stdint.h>

__asm__(".pushsection .start, \"ax\"\n"
	"	movl $kernel, %esp\n"
	"	pushl %esi\n"
	"	call unpack\n"
#ifdef AMD64
	"	call map\n"
	"	popl %esi\n"
	"	movl $tables, %eax\n"
	"	movl %eax, %cr3\n"
	"	movl %cr4, %eax\n"
	"	orl $0x20, %eax\n" /* PAE */
	"	movl %eax, %cr4\n"
	"	movl $0xc0000080, %ecx\n" /* EFER */
	"	rdmsr\n"
	"	orl $0x100, %eax\n" /* LME */
	"	wrmsr\n"
	"	lgdt gdt_at\n"
	"	movl %cr0, %eax\n"
	"	orl $0x80000000, %eax\n" /* PG */
	"	movl %eax, %cr0\n"
	"	ljmp $0x10, $1f\n"
	"	.code64\n"
	"1:	movl %esi, %esi\n" /* without what the upper half may have */
	"	movl $kernel, %eax\n"
	"	jmp *%rax\n"
	"	.code32\n"
	/* 0x10 is 64-bit code, 0x18 data. */
	"gdt:	.quad 0, 0, 0x00af9a000000ffff, 0x00cf92000000ffff\n"
	"gdt_at:	.word . - gdt - 1\n"
	"	.long gdt\n"
#else
	"	popl %esi\n"
	"	movl $kernel, %eax\n"
	"	jmp *%eax\n"
#endif
	".popsection\n"
	".pushsection .rodata\n"
	"packed:	.incbin \"kernel.lz4\"\n"
	"packed_end:\n"
	".popsection\n");

extern const uint8_t packed[], packed_end[];
extern uint8_t kernel[]; /* in unpack.lds */

#ifdef AMD64
/* For 64-bit mode: the first GiB where it is, in pages of 2 MiB. */
__attribute__((aligned(4096))) uint64_t tables[3][512];

__attribute__((used)) static void
map(void)
{
	enum { PRESENT = 1, WRITABLE = 2, LARGE = 0x80 };

	tables[0][0] = (uint32_t)tables[1] | PRESENT | WRITABLE;
	tables[1][0] = (uint32_t)tables[2] | PRESENT | WRITABLE;
	for (uint64_t i = 0; i < 512; i++)
		tables[2][i] = i << 21 | PRESENT | WRITABLE | LARGE;
}
#endif

/* A length: four bits of a token, and if these are all set, bytes that count, too, up to the first
 * that is not 255. */
static uint32_t
length(uint32_t bits, const uint8_t **in)
{
	uint32_t all = bits;

	if (bits == 15)
		do
			all += **in;
		while (*(*in)++ == 255);
	return all;
}

static uint8_t *
copy(uint8_t *out, const uint8_t *in, uint32_t bytes)
{
	__asm__ volatile("rep movsb" : "+D"(out), "+S"(in), "+c"(bytes) : : "memory");
	return out;
}

/*
 * The legacy frame of lz4 -l: a magic number, then blocks with their length. A block is of
 * sequences: a token, literal bytes, and how far back to find how many more bytes, which may
 * overlap what they make. The last sequence ends with its literal bytes. (The description of both
 * is lz4's doc/lz4_Frame_format.md and doc/lz4_Block_format.md.)
 */
__attribute__((used)) static void
unpack(void)
{
	uint8_t *out = kernel;
	const uint8_t *in = packed + 4;

	while (in < packed_end) {
		uint32_t bytes = in[0] | in[1] << 8 | in[2] << 16 | (uint32_t)in[3] << 24;
		const uint8_t *end = in + 4 + bytes;

		in += 4;
		for (;;) {
			uint32_t token = *in++, literals = length(token >> 4, &in), back;

			out = copy(out, in, literals);
			in += literals;
			if (in >= end)
				break;
			back = in[0] | in[1] << 8;
			in += 2;
			out = copy(out, out - back, length(token & 15, &in) + 4);
		}
	}
}
