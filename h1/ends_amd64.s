//go:build !h1_safe

#include "go_asm.h"
#include "textflag.h"

// MARK16 puts the marks of the sixteen bytes at p into the low bits of marks. One more
// than a byte, as a signed number, is 0x21 to 0x7f for SP and VCHAR alone: for the
// others it is negative when 0x21 is taken away, with saturation.
#define MARK16(p, marks) \
	MOVOU    p, X0     \
	PADDB    X1, X0    \
	PSUBSB   X2, X0    \
	PMOVMSKB X0, marks

// MARK64 puts the marks of the 64 bytes at SI into AX.
#define MARK64 \
	MARK16((SI), AX)    \
	MARK16(16(SI), CX)  \
	MARK16(32(SI), DX)  \
	MARK16(48(SI), R8)  \
	SHLQ $16, CX        \
	SHLQ $32, DX        \
	SHLQ $48, R8        \
	ORQ  CX, AX         \
	ORQ  R8, DX         \
	ORQ  DX, AX

// func markBytes(m *lineMarks, b []byte, i int)
TEXT ·markBytes(SB), NOSPLIT, $0-40
	MOVQ m+0(FP), DI
	MOVQ b_base+8(FP), SI
	MOVQ b_len+16(FP), BX
	MOVQ i+32(FP), AX
	ADDQ AX, SI
	SUBQ AX, BX
	MOVQ $const_markWindow, AX
	CMPQ BX, AX
	CMOVQGT AX, BX
	MOVQ $0x0101010101010101, AX
	MOVQ AX, X1
	PUNPCKLQDQ X1, X1
	MOVQ $0x2121212121212121, AX
	MOVQ AX, X2
	PUNPCKLQDQ X2, X2
	SUBQ $64, BX
	JLT  last

word:
	MARK64
	MOVQ AX, (DI)
	MOVQ AX, CX
	SHRQ $1, CX
	ANDQ AX, CX // two in a row
	MOVQ CX, DX
	SHRQ $2, DX
	TESTQ CX, DX
	JNE  done
	ADDQ $64, SI
	ADDQ $8, DI
	SUBQ $64, BX
	JGE  word

last: // 64 bytes, the first -BX of which are done
	CMPQ BX, $-64
	JEQ  done
	ADDQ BX, SI
	MARK64
	MOVQ BX, CX
	NEGQ CX
	SHRQ CX, AX
	MOVQ AX, (DI)

done:
	RET
