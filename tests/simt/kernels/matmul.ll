; c = a * b, row by row, n x n with n a multiple of 16: blocks of 16 x 16 threads, tiles in shared
; memory, two barriers a step.
@as = internal addrspace(3) global [256 x float] undef, align 16
@bs = internal addrspace(3) global [256 x float] undef, align 16

define ptx_kernel void @matmul(ptr addrspace(1) %a, ptr addrspace(1) %b, ptr addrspace(1) %c, i32 %n) {
entry:
  %tx = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %ty = call i32 @llvm.nvvm.read.ptx.sreg.tid.y()
  %bx = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %by = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.y()
  %row0 = mul i32 %by, 16
  %row = add i32 %row0, %ty
  %col0 = mul i32 %bx, 16
  %col = add i32 %col0, %tx
  %arow = mul i32 %row, %n
  %t16 = mul i32 %ty, 16
  %mine = add i32 %t16, %tx
  %as.mine = getelementptr float, ptr addrspace(3) @as, i32 %mine
  %bs.mine = getelementptr float, ptr addrspace(3) @bs, i32 %mine
  br label %step

step:
  %k0 = phi i32 [ 0, %entry ], [ %k1, %next ]
  %sum0 = phi float [ 0.0, %entry ], [ %sum2, %next ]
  %ak = add i32 %k0, %tx
  %ai = add i32 %arow, %ak
  %ap = getelementptr float, ptr addrspace(1) %a, i32 %ai
  %av = load float, ptr addrspace(1) %ap, align 4
  store float %av, ptr addrspace(3) %as.mine, align 4
  %bk = add i32 %k0, %ty
  %brow = mul i32 %bk, %n
  %bi = add i32 %brow, %col
  %bp = getelementptr float, ptr addrspace(1) %b, i32 %bi
  %bv = load float, ptr addrspace(1) %bp, align 4
  store float %bv, ptr addrspace(3) %bs.mine, align 4
  call void @llvm.nvvm.barrier0() ; filled
  br label %inner

inner:
  %i = phi i32 [ 0, %step ], [ %i1, %inner ]
  %sum1 = phi float [ %sum0, %step ], [ %sum2, %inner ]
  %asi = add i32 %t16, %i
  %asp = getelementptr float, ptr addrspace(3) @as, i32 %asi
  %x = load float, ptr addrspace(3) %asp, align 4
  %i16 = mul i32 %i, 16
  %bsi = add i32 %i16, %tx
  %bsp = getelementptr float, ptr addrspace(3) @bs, i32 %bsi
  %y = load float, ptr addrspace(3) %bsp, align 4
  %sum2 = call float @llvm.fma.f32(float %x, float %y, float %sum1)
  %i1 = add i32 %i, 1
  %more = icmp ult i32 %i1, 16
  br i1 %more, label %inner, label %next

next:
  call void @llvm.nvvm.barrier0() ; used
  %k1 = add i32 %k0, 16
  %again = icmp ult i32 %k1, %n
  br i1 %again, label %step, label %done

done:
  %ci = add i32 %arow, %col
  %cp = getelementptr float, ptr addrspace(1) %c, i32 %ci
  store float %sum2, ptr addrspace(1) %cp, align 4
  ret void
}
