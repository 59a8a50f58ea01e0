/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A boot sector that does what GNU Mach does first, and says so through QEMU's isa-debug-exit device: protected
 * mode, then paging with 4 MiB pages, then a read through a second mapping of the same memory. QEMU exits with
 * (42 << 1) | 1 = 85 when all of it works, and with 3 when paging reads the wrong thing. kvm_probe.c has the rest.
 *
 * The sector is data to the program that carries it: it is linked nowhere near where it runs (0x7c00, where the BIOS
 * loads it), so every address in it is a distance from its own start.
 */
#if defined(__x86_64__) || defined(__i386__)

#define HERE(label)	(label - kvm_probe_sector + 0x7c00)
#define PAGE_DIRECTORY	0x8000	/* 4 KiB of free low memory, aligned */
#define BIG_PAGE	0x83	/* present, writable, 4 MiB; physical address 0 */
#define SECOND_MAPPING	0x400000
#define CODE_SELECTOR	0x08
#define DATA_SELECTOR	0x10
#define DEBUG_EXIT_PORT	0xf4
#define GOOD		42
#define BAD		1

	.section .rodata
	.globl	kvm_probe_sector
	.globl	kvm_probe_sector_end
	.type	kvm_probe_sector, @object
	.type	kvm_probe_sector_end, @object

	.code16
kvm_probe_sector:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x7c00, %sp
	lgdtw	HERE(gdt_pointer)
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$CODE_SELECTOR, $HERE(protected)

	.code32
protected:
	movw	$DATA_SELECTOR, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movl	$BIG_PAGE, PAGE_DIRECTORY	/* identity */
	movl	$BIG_PAGE, PAGE_DIRECTORY + 4	/* the same memory once more */
	movl	%cr4, %eax
	orl	$0x10, %eax			/* PSE */
	movl	%eax, %cr4
	movl	$PAGE_DIRECTORY, %eax
	movl	%eax, %cr3
	movl	%cr0, %eax
	orl	$0x80000000, %eax		/* PG */
	movl	%eax, %cr0
	jmp	paging
paging:
	movb	$BAD, %al
	cmpw	$0xaa55, SECOND_MAPPING + HERE(signature)
	jne	answer
	movb	$GOOD, %al
answer:
	movw	$DEBUG_EXIT_PORT, %dx
	outb	%al, %dx
stop:
	hlt
	jmp	stop

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9a000000ffff		/* code, 0 to 4 GiB */
	.quad	0x00cf92000000ffff		/* data, 0 to 4 GiB */
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	HERE(gdt)

	.org	kvm_probe_sector + 510
signature:
	.word	0xaa55
kvm_probe_sector_end:
	.size	kvm_probe_sector, 512

#endif
	.section .note.GNU-stack, "", @progbits
