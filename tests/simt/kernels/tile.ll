; One warp: c (16 x 8, float) = a (16 x 64, bf16) * b^T (8 x 64, bf16). Rows of 128 bytes in shared
; memory, whose 16-byte chunks are swizzled by the row.
@at = internal addrspace(3) global [2048 x i8] undef, align 128
@bt = internal addrspace(3) global [1024 x i8] undef, align 128

define internal i32 @place(i32 %row, i32 %chunk) alwaysinline {
  %turn = and i32 %row, 7
  %swizzled = xor i32 %chunk, %turn ; swizzle
  %r = shl i32 %row, 7
  %c = shl i32 %swizzled, 4
  %p = add i32 %r, %c
  ret i32 %p
}

define ptx_kernel void @tile(ptr addrspace(1) align 16 %a, ptr addrspace(1) align 16 %b, ptr addrspace(1) align 16 %c) {
entry:
  %lane = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %chunk = and i32 %lane, 7
  %row0 = lshr i32 %lane, 3
  br label %fill

fill: ; 6 x 4 rows: 16 of a, 8 of b
  %i = phi i32 [ 0, %entry ], [ %i1, %fill ]
  %i4 = mul i32 %i, 4
  %row = add i32 %i4, %row0
  %isa = icmp ult i32 %row, 16
  %brow = sub i32 %row, 16
  %r = select i1 %isa, i32 %row, i32 %brow
  %at = call i32 @place(i32 %r, i32 %chunk)
  %sbase = select i1 %isa, ptr addrspace(3) @at, ptr addrspace(3) @bt
  %sp = getelementptr i8, ptr addrspace(3) %sbase, i32 %at
  %gr = shl i32 %r, 7
  %gc = shl i32 %chunk, 4
  %go = add i32 %gr, %gc
  %gbase = select i1 %isa, ptr addrspace(1) %a, ptr addrspace(1) %b
  %gp = getelementptr i8, ptr addrspace(1) %gbase, i32 %go
  call void @llvm.nvvm.cp.async.cg.shared.global.16(ptr addrspace(3) %sp, ptr addrspace(1) %gp)
  %i1 = add i32 %i, 1
  %more = icmp ult i32 %i1, 6
  br i1 %more, label %fill, label %filled

filled:
  call void @llvm.nvvm.cp.async.wait.all()
  call void @llvm.nvvm.bar.warp.sync(i32 -1)
  %arow = and i32 %lane, 15
  %achunk = lshr i32 %lane, 4
  %brow7 = and i32 %lane, 7
  %b3 = lshr i32 %lane, 3
  %bchunk = and i32 %b3, 1
  br label %k

k:
  %s = phi i32 [ 0, %filled ], [ %s1, %k ]
  %d0 = phi float [ 0.0, %filled ], [ %e0, %k ]
  %d1 = phi float [ 0.0, %filled ], [ %e1, %k ]
  %d2 = phi float [ 0.0, %filled ], [ %e2, %k ]
  %d3 = phi float [ 0.0, %filled ], [ %e3, %k ]
  %s2 = mul i32 %s, 2
  %ac = add i32 %s2, %achunk
  %ao = call i32 @place(i32 %arow, i32 %ac)
  %ap = getelementptr i8, ptr addrspace(3) @at, i32 %ao
  %af = call { i32, i32, i32, i32 } @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16.p3(ptr addrspace(3) %ap)
  %bc = add i32 %s2, %bchunk
  %bo = call i32 @place(i32 %brow7, i32 %bc)
  %bp = getelementptr i8, ptr addrspace(3) @bt, i32 %bo
  %bf = call { i32, i32 } @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x2.b16.p3(ptr addrspace(3) %bp)
  %a0 = extractvalue { i32, i32, i32, i32 } %af, 0
  %a1 = extractvalue { i32, i32, i32, i32 } %af, 1
  %a2 = extractvalue { i32, i32, i32, i32 } %af, 2
  %a3 = extractvalue { i32, i32, i32, i32 } %af, 3
  %b0 = extractvalue { i32, i32 } %bf, 0
  %b1 = extractvalue { i32, i32 } %bf, 1
  %d = call { float, float, float, float } @llvm.nvvm.mma.m16n8k16.row.col.bf16(i32 %a0, i32 %a1, i32 %a2, i32 %a3, i32 %b0, i32 %b1, float %d0, float %d1, float %d2, float %d3)
  %e0 = extractvalue { float, float, float, float } %d, 0
  %e1 = extractvalue { float, float, float, float } %d, 1
  %e2 = extractvalue { float, float, float, float } %d, 2
  %e3 = extractvalue { float, float, float, float } %d, 3
  %s1 = add i32 %s, 1
  %again = icmp ult i32 %s1, 4
  br i1 %again, label %k, label %store

store:
  %g = lshr i32 %lane, 2
  %q = and i32 %lane, 3
  %g8 = mul i32 %g, 8
  %q2 = mul i32 %q, 2
  %c0 = add i32 %g8, %q2
  %cp = getelementptr float, ptr addrspace(1) %c, i32 %c0
  %v0 = insertelement <2 x float> poison, float %e0, i32 0
  %v1 = insertelement <2 x float> %v0, float %e1, i32 1
  store <2 x float> %v1, ptr addrspace(1) %cp, align 8
  %cp8 = getelementptr float, ptr addrspace(1) %cp, i32 64
  %w0 = insertelement <2 x float> poison, float %e2, i32 0
  %w1 = insertelement <2 x float> %w0, float %e3, i32 1
  store <2 x float> %w1, ptr addrspace(1) %cp8, align 8
  ret void
}
