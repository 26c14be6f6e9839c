"""The CDNOW data set: 69,659 purchases of 23,570 customers, January 1997 to June 1998."""
