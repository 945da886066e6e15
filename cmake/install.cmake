# cmake --install: programs, man pages and completions where Debian expects them.
if(NOT WHERRY_SANITIZE AND NOT WHERRY_FUZZ AND NOT WHERRY_TIDY AND NOT WHERRY_WEAKEN)
  install(TARGETS wherry wherry-oci wherry-registry RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  foreach(helper wherry-monitor wherry-unpack wherry-transfer)
    if(TARGET ${helper})
      install(TARGETS ${helper} RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/wherry)
    endif()
  endforeach()
  file(GLOB man1 ${PROJECT_SOURCE_DIR}/man/*.1)
  install(FILES ${man1} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  file(GLOB man5 ${PROJECT_SOURCE_DIR}/man/*.5)
  install(FILES ${man5} DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
  install(FILES ${PROJECT_SOURCE_DIR}/completions/wherry.bash
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME wherry)
  install(FILES ${PROJECT_SOURCE_DIR}/completions/_wherry
          DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
endif()
