"""The three architectural patterns, as labels that every command carries and as strategies behind one seam."""
